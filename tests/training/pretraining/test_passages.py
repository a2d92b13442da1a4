"""Passages and batches: what is packed, split, held out, paired, masked; by hand-computed examples."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.pretraining.batches import build_batch
from training.pretraining.config import PretrainConfig
from training.pretraining.errors import PretrainError
from training.pretraining.passages import build_passages, draw_pairs, pack
from training.pretraining.tokens import token_cache
from training.tokenizer import load_tokenizer


def test_paragraphs_are_packed_to_the_minimum_and_split_at_the_maximum() -> None:
    assert pack([30, 20, 200, 10], 48, 126) == [(0, 50), (50, 150), (150, 250)]
    assert pack([30, 20, 200, 16], 48, 126) == [(0, 50), (50, 150), (150, 250), (250, 266)]
    assert pack([5], 48, 126) == []


def test_a_long_paragraph_is_split_evenly_and_a_heading_goes_with_its_beginning() -> None:
    assert pack([126], 48, 126) == [(0, 126)]
    assert pack([127], 48, 126) == [(0, 63), (63, 127)]
    assert pack([379], 48, 126) == [(0, 94), (94, 189), (189, 284), (284, 379)]  # 3 of 126 would leave one token
    assert pack([40, 260, 60], 48, 126) == [(0, 100), (100, 200), (200, 300), (300, 360)]


@given(st.lists(st.integers(0, 700), max_size=12), st.integers(1, 60), st.integers(60, 200))
def test_packing_loses_nothing_but_a_short_rest(lengths: list[int], minimum: int, maximum: int) -> None:
    packed = pack(lengths, minimum, maximum)
    assert all(left[1] == right[0] for left, right in pairwise([(0, 0), *packed]))
    assert sum(lengths) - (packed[-1][1] if packed else 0) < min(16, minimum)
    sizes = [stop - start for start, stop in packed]
    assert max(sizes, default=0) <= maximum
    assert min(sizes[:-1], default=maximum) >= minimum / 2


def test_validation_documents_are_not_among_those_trained_on(
    tmp_path: Path, texts: Path, tokenizer_file: Path, tiny: Callable[..., PretrainConfig]
) -> None:
    cache = token_cache(tmp_path, [texts], load_tokenizer(tokenizer_file), [], 2000)
    passages = build_passages(cache, tiny())
    assert passages.validation.tolist() == [[0, 8], [80, 88]]
    assert passages.validation_documents.tolist() == [0, 10]
    assert len(passages.train) == 18
    assert not set(passages.train[:, 0]) & {0, 80}


def test_text_without_two_documents_of_two_passages_is_too_small(
    tmp_path: Path, tokenizer_file: Path, tiny: Callable[..., PretrainConfig]
) -> None:
    (tmp_path / "a.txt").write_text("资金补贴给予奖励资金\n资金补贴给予奖励资金", encoding="utf-8")
    cache = token_cache(tmp_path, [tmp_path / "a.txt"], load_tokenizer(tokenizer_file), [], 2000)
    with pytest.raises(PretrainError, match="text too small: 1 of 1 documents"):
        build_passages(cache, tiny())


def test_pairs_are_disjoint_neighbours_inside_documents(tiny: Callable[..., PretrainConfig]) -> None:
    documents = np.array([[0, 5], [5, 7], [7, 20], [20, 22]])
    for seed in range(20):
        pairs = draw_pairs(np.random.default_rng(seed), documents, tiny(batch_pairs=5, pairs_per_document=2))
        assert len(pairs) == 5
        assert (pairs[:, 1] == pairs[:, 0] + 1).all()
        assert len(set(pairs.ravel())) == 10
        owners = np.searchsorted(documents[:, 1], pairs, side="right")
        assert (owners[:, 0] == owners[:, 1]).all()
        assert np.bincount(owners[:, 0]).max() <= 2


def test_another_recipe_of_passages_is_other_data(
    tmp_path: Path,
    texts: Path,
    tokenizer_file: Path,
    tiny: Callable[..., PretrainConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = token_cache(tmp_path, [texts], load_tokenizer(tokenizer_file), [], 2000)
    first = build_passages(cache, tiny()).data_hash
    assert build_passages(cache, tiny()).data_hash == first
    monkeypatch.setattr("training.pretraining.passages.PASSAGE_RECIPE", 99)
    assert build_passages(cache, tiny()).data_hash != first


def test_a_batch_restores_to_the_text_and_masks_no_special_token(prepared, tiny: Callable[..., PretrainConfig]) -> None:
    ids, passages, specials = prepared
    pairs = np.array([[8, 9], [24, 25]])
    rows: dict[int, list[int]] = {}
    for part in build_batch(np.random.default_rng(1), pairs, ids, passages, specials, tiny(mask_rate=0.5)):
        tokens = part.ids.copy()
        tokens.reshape(-1)[part.masked] = part.labels
        assert len(part.masked)
        assert (part.labels > specials.mask).all()
        lines = (part.rows, tokens, part.attention)
        rows |= {int(row): line[kept == 1].tolist() for row, line, kept in zip(*lines, strict=True)}
    assert sorted(rows) == [0, 1, 2, 3]
    for row, passage in enumerate(pairs.ravel()):
        text = ids[passages.starts[passage] : passages.stops[passage]].tolist()
        assert rows[row] == [specials.cls, *text, specials.sep]


def test_of_the_tokens_to_predict_most_are_masked_and_few_replaced_or_left(
    prepared, tiny: Callable[..., PretrainConfig]
) -> None:
    ids, passages, specials = prepared
    pairs = np.tile(passages.train[0, 0] + np.array([[0, 1]]), (500, 1))
    parts = build_batch(np.random.default_rng(1), pairs, ids, passages, specials, tiny())
    now = np.concatenate([part.ids.reshape(-1)[part.masked] for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    assert len(now) / 10_000 == pytest.approx(0.15, abs=0.02)
    assert (now == specials.mask).mean() == pytest.approx(0.8, abs=0.04)
    assert (now == labels).mean() == pytest.approx(0.1, abs=0.04)


def test_without_masked_language_modelling_the_text_stays_whole(prepared, tiny: Callable[..., PretrainConfig]) -> None:
    ids, passages, specials = prepared
    (part,) = build_batch(
        np.random.default_rng(1), np.array([[8, 9]]), ids, passages, specials, tiny(mlm_weight=0, micro_batches=1)
    )
    assert not len(part.masked)
    assert not (part.ids == specials.mask).any()
