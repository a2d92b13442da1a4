"""The tokenizer: what it splits, which pieces it keeps, and that transformers and serving read the same file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from training.pretraining.errors import PretrainError
from training.tokenizer import SPECIAL_TOKENS, load_tokenizer, save_tokenizer, train_tokenizer

WORDS = ("补贴", "奖励", "人才", "平台", "企业", "孵化器", "产业园区")


def corpus(paragraphs: int = 400) -> list[str]:
    rng = random.Random(0)
    return ["".join(rng.choices(WORDS, k=12)) + f"，{rng.randrange(2000, 2030)}年。" for _ in range(paragraphs)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(corpus(), vocabulary_size=60)


def test_special_tokens_have_the_first_five_ids(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert SPECIAL_TOKENS == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def test_frequent_words_are_pieces_and_no_piece_is_longer_than_allowed(tokenizer: Tokenizer) -> None:
    pieces = set(tokenizer.get_vocab()) - set(SPECIAL_TOKENS)
    assert {"补贴", "奖励", "人才", "平台", "企业"} <= pieces
    assert max(map(len, pieces)) == 2
    longer = train_tokenizer(corpus(), vocabulary_size=60, max_piece_length=4).get_vocab()
    assert {"孵化器", "产业园区"} <= set(longer)


def test_every_character_seen_often_enough_is_a_piece_and_rarer_ones_are_unknown() -> None:
    text = [*corpus(), "罕罕罕罕罕见"]  # 罕 five times, 见 once
    tokenizer = train_tokenizer(text, vocabulary_size=60, min_character_count=5)
    assert all(character in tokenizer.get_vocab() for word in WORDS for character in word)
    assert tokenizer.encode("罕见", add_special_tokens=False).ids == [tokenizer.token_to_id("罕"), 1]
    assert "见" not in tokenizer.get_vocab()


def test_width_case_digits_and_punctuation_are_treated_alike_everywhere(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("补贴，２０２４ 年").ids == tokenizer.encode("补贴,2024年").ids
    assert tokenizer.encode("补贴，2024年。").tokens == ["[CLS]", "补贴", ",", "2", "0", "2", "4", "年", "。", "[SEP]"]


def test_offsets_lead_back_to_the_text_as_it_was_given(tokenizer: Tokenizer) -> None:
    text = "　补贴 ２０人才"
    encoding = tokenizer.encode(text, add_special_tokens=False)
    assert [text[start:stop] for start, stop in encoding.offsets] == ["补贴", "２", "０", "人才"]


def test_a_pair_gets_token_types(tokenizer: Tokenizer) -> None:
    encoding = tokenizer.encode("补贴", "人才")
    assert encoding.tokens == ["[CLS]", "补贴", "[SEP]", "人才", "[SEP]"]
    assert encoding.type_ids == [0, 0, 0, 1, 1]


def test_transformers_reads_the_written_folder_and_gives_the_same_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path, 512)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in corpus(20):
        assert loaded(text)["input_ids"] == tokenizer.encode(text).ids == load_tokenizer(tmp_path).encode(text).ids
    assert (loaded.pad_token, loaded.mask_token, loaded.unk_token_id) == ("[PAD]", "[MASK]", 1)
    assert loaded.model_max_length == 512


def test_a_loaded_tokenizer_neither_cuts_nor_pads(tokenizer: Tokenizer, tmp_path: Path) -> None:
    changed = Tokenizer.from_str(tokenizer.to_str())
    changed.enable_truncation(3)
    changed.enable_padding(length=64)
    changed.save(str(tmp_path / "tokenizer.json"))
    text = corpus(1)[0]
    assert load_tokenizer(tmp_path / "tokenizer.json").encode(text).ids == tokenizer.encode(text).ids


def test_a_vocabulary_too_small_for_the_characters_is_refused() -> None:
    with pytest.raises(PretrainError, match="expected between 1 and 5"):
        train_tokenizer(corpus(), vocabulary_size=10)
    with pytest.raises(PretrainError, match="0 characters"):
        train_tokenizer(["补贴"], vocabulary_size=60)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PretrainError, match=r"tokenizer\.json: not a tokenizer\.json"):
        load_tokenizer(tmp_path)
    with pytest.raises(PretrainError, match="no tokenizer there"):
        load_tokenizer(tmp_path / "absent")
