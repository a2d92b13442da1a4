"""Reading and the token cache: documents, damaged files, samples, texts left out, what is tokenised once."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from training.pretraining.errors import PretrainError
from training.pretraining.text import excluded_texts, read_paragraphs, sample_paragraphs, text_files
from training.pretraining.tokens import token_cache
from training.tokenizer import load_tokenizer


def test_a_blank_line_and_the_end_of_a_file_end_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("甲\n乙\n\n \n丙\n", encoding="utf-8")
    with lzma.open(tmp_path / "b.txt.xz", "wt", encoding="utf-8") as stream:
        stream.write("丁")
    found = list(read_paragraphs(text_files([tmp_path])))
    assert found == [(0, "甲"), (0, "乙"), (1, "丙"), (2, "丁")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.txt", None, "no such file"),
        ("a.pdf", b"x", "expected a name that ends in"),
        ("gbk.txt", "补贴".encode("gbk"), "not UTF-8"),
        ("cut.txt.xz", lzma.compress("补贴".encode() * 99)[:-20], "damaged or cut short"),
        ("zip.txt.xz", b"PK not xz at all", "damaged or cut short"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PretrainError, match=message) as caught:
        list(read_paragraphs(text_files([tmp_path / name])))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PretrainError, match=r"no \.txt"):
        text_files([tmp_path])


def test_a_sample_is_drawn_from_the_whole_text_and_not_from_its_beginning(texts: Path, topics: tuple[str, ...]) -> None:
    sample = list(sample_paragraphs([texts], set(), 800, seed=0))
    assert 400 < sum(map(len, sample)) < 1200  # 800 of 1600 characters asked for
    assert all(any(set(text) <= set(topic) for text in sample) for topic in topics)


def test_a_paragraph_of_an_evaluation_file_never_enters_the_tokens(
    tmp_path: Path, texts: Path, tokenizer_file: Path
) -> None:
    first = texts.read_text(encoding="utf-8").split("\n")[0]
    evaluation = tmp_path / "dev.jsonl"
    evaluation.write_text(json.dumps({"text": f"{first[:3]}　{first[3:]}"}) + "\n", encoding="utf-8")
    tokenizer = load_tokenizer(tokenizer_file)
    cache = token_cache(tmp_path, [texts], tokenizer, [evaluation], 2000)
    assert (cache.facts.excluded_paragraphs, cache.facts.exclusion_texts, cache.facts.paragraphs) == (1, 1, 159)
    assert (cache.facts.documents, cache.facts.characters, cache.facts.tokens) == (20, 1590, 1590)
    assert tokenizer.encode(first, add_special_tokens=False).ids != cache.ids[:10].tolist()


def test_the_cache_is_made_once_for_the_same_text_and_again_for_another(
    tmp_path: Path, texts: Path, tokenizer_file: Path
) -> None:
    tokenizer = load_tokenizer(tokenizer_file)
    first = token_cache(tmp_path, [texts], tokenizer, [], 2000)
    made = next(tmp_path.glob("tokens-*/ids.npy")).stat().st_mtime_ns
    assert token_cache(tmp_path, [texts], tokenizer, [], 2000).facts == first.facts
    assert next(tmp_path.glob("tokens-*/ids.npy")).stat().st_mtime_ns == made
    assert isinstance(first.ids, np.memmap)
    assert first.ids.dtype == np.uint16
    assert token_cache(tmp_path, [texts], tokenizer, [], 5).facts.data_hash != first.facts.data_hash


def test_a_cache_that_a_kill_left_half_made_is_made_anew(tmp_path: Path, texts: Path, tokenizer_file: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_file)
    whole = token_cache(tmp_path / "whole", [texts], tokenizer, [], 2000)
    [made] = (tmp_path / "whole").iterdir()
    (tmp_path / "killed" / f"{made.name}.building").mkdir(parents=True)
    (tmp_path / "killed" / f"{made.name}.building" / "ids.raw").write_bytes(b"x")
    again = token_cache(tmp_path / "killed", [texts], tokenizer, [], 2000)
    assert np.array_equal(again.ids, whole.ids)
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [made.name]


def test_rows_to_leave_out_that_have_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text('{"text": "补贴"}\n{"id": "b"}\n', encoding="utf-8")
    with pytest.raises(PretrainError, match=r"dev\.jsonl:2: no 'text'"):
        excluded_texts([tmp_path / "dev.jsonl"])


def test_text_that_is_empty_or_unknown_to_the_tokenizer_is_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_file)
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    (tmp_path / "english.txt").write_text("nothing the vocabulary has", encoding="utf-8")
    with pytest.raises(PretrainError, match=r"empty\.txt: no text"):
        token_cache(tmp_path, [tmp_path / "empty.txt"], tokenizer, [], 2000)
    with pytest.raises(PretrainError, match=r"100% of the tokens are \[UNK\]"):
        token_cache(tmp_path, [tmp_path / "english.txt"], tokenizer, [], 2000)
    assert not list(tmp_path.glob("tokens-*"))
