import itertools
from pathlib import Path

import numpy as np
import pytest

from policytag.encoding import Encoder, Recipe, pad, pool
from policytag.errors import ArtifactError


def test_a_short_text_is_one_window_between_cls_and_sep(tiny_model: Path) -> None:
    encoder = Encoder(tiny_model / "tokenizer.json", Recipe())
    [encoded] = encoder.encode(["补贴"])
    assert len(encoded.windows) == 1
    assert encoded.windows[0][0] == encoder.cls_id
    assert encoded.windows[0][-1] == encoder.sep_id
    assert not encoded.truncated


def test_a_long_text_is_windowed_with_overlap_and_no_token_is_lost(tiny_model: Path) -> None:
    encoder = Encoder(tiny_model / "tokenizer.json", Recipe(max_tokens=8, overlap=2))
    [whole] = Encoder(tiny_model / "tokenizer.json", Recipe()).encode(["补贴人才平台审批金融招商项目"])
    [encoded] = encoder.encode(["补贴人才平台审批金融招商项目"])
    inner = [window[1:-1] for window in encoded.windows]
    assert max(map(len, encoded.windows)) <= 8
    assert all(a[-2:] == b[:2] for a, b in itertools.pairwise(inner))
    assert [*inner[0], *(token for window in inner[1:] for token in window[2:])] == whole.windows[0][1:-1]


@pytest.mark.parametrize("length", [1, 5, 6, 7, 10, 11, 14, 15])
def test_the_last_window_always_brings_something_new(tiny_model: Path, length: int) -> None:
    [encoded] = Encoder(tiny_model / "tokenizer.json", Recipe(max_tokens=8, overlap=2)).encode(["补" * length])
    assert sum(len(window) - 2 for window in encoded.windows) - 2 * (len(encoded.windows) - 1) == length
    assert len(encoded.windows[-1]) - 2 > 2 or len(encoded.windows) == 1


def test_a_text_is_read_in_pieces_of_whole_sentences_and_no_token_is_lost(tiny_model: Path) -> None:
    text = "补贴人才。平台;审批?金融招商项目补贴人才平台审批!招商"
    [whole] = Encoder(tiny_model / "tokenizer.json", Recipe()).encode([text])
    encoder = Encoder(tiny_model / "tokenizer.json", Recipe(max_tokens=12, overlap=2, piece_tokens=11))
    [encoded] = encoder.encode([text])
    read = ["".join(text[a:b] for a, b in tokens) for tokens in encoder.spans(text)]
    # 5 and 3 tokens, then 3 more would be 11 of 9; the fourth sentence is longer than a piece and than a window.
    assert read == ["补贴人才。平台;", "审批?", "金融招商项目补贴人才", "人才平台审批!", "招商"]
    assert [len(window) - 2 for window in encoded.windows] == [8, 3, 10, 7, 2]
    inner = [token for window in encoded.windows for token in window[1:-1]]
    assert [*inner[:21], *inner[23:]] == whole.windows[0][1:-1]


def test_a_text_no_longer_than_a_piece_is_one_window(tiny_model: Path) -> None:
    encoder = Encoder(tiny_model / "tokenizer.json", Recipe(piece_tokens=8))
    assert [len(e.windows) for e in encoder.encode(["补贴。人才。", "补贴。人才。补", "", "。" * 7])] == [1, 2, 1, 2]


def test_a_text_over_the_limit_says_that_it_was_truncated(tiny_model: Path) -> None:
    encoder = Encoder(tiny_model / "tokenizer.json", Recipe(max_chars=10))
    assert [e.truncated for e in encoder.encode(["补" * 10, "补" * 11, "补" * 10_000_000])] == [False, True, True]


def test_blanks_inside_chinese_text_do_not_change_the_tokens(tiny_model: Path) -> None:
    encoder = Encoder(tiny_model / "tokenizer.json", Recipe())
    one, other = encoder.encode(["人才补贴", "人 才　补\n贴"])
    assert one == other


def test_the_windows_of_several_texts_know_their_text_and_whether_it_was_truncated(tiny_model: Path) -> None:
    encoder = Encoder(tiny_model / "tokenizer.json", Recipe(max_tokens=8, overlap=2, max_chars=12))
    texts = ["补贴", "补" * 13, ""]
    windows, owners, truncated = encoder.windows(texts)
    assert windows == [window for encoded in encoder.encode(texts) for window in encoded.windows]
    assert owners.tolist() == [0, 1, 1, 1, 2]
    assert truncated.tolist() == [False, True, False]


def test_no_texts_have_no_windows(tiny_model: Path) -> None:
    windows, owners, truncated = Encoder(tiny_model / "tokenizer.json", Recipe()).windows([])
    assert (windows, owners.tolist(), truncated.tolist()) == ([], [], [])
    assert owners.dtype == np.int64


def test_padding_fills_to_the_longest_window() -> None:
    ids, mask = pad([[2, 5, 3], [2, 3]], pad_id=0)
    assert ids.tolist() == [[2, 5, 3], [2, 3, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_pooling_takes_each_labels_maximum_over_a_texts_windows() -> None:
    logits = np.array([[1, -2], [0, 5], [-1, -1]], dtype=np.float32)
    assert pool(logits, np.array([0, 0, 1]), 2).tolist() == [[1, 5], [-1, -1]]


def test_a_recipe_that_would_lose_text_is_refused() -> None:
    with pytest.raises(ArtifactError, match="overlap 510 with max_tokens 512"):
        Recipe(max_tokens=512, overlap=510)
    with pytest.raises(ArtifactError, match="max_chars 0; expected at least 1"):
        Recipe(max_chars=0)
    with pytest.raises(ArtifactError, match="piece_tokens 600 with max_tokens 512; expected 0, or 3 to max_tokens"):
        Recipe(piece_tokens=600)


def test_a_broken_tokenizer_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: not readable as a tokenizer"):
        Encoder(path, Recipe())
