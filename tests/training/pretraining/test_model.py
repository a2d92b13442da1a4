"""The network: first vectors by hand-computed counts, both losses, the schedule, an encoder that is continued."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM, BertModel

from training.pretraining.batches import build_batch
from training.pretraining.config import Inputs, PretrainConfig
from training.pretraining.cooccurrence import cooccurrence_vectors, count_neighbours, shifted_ppmi
from training.pretraining.errors import PretrainError
from training.pretraining.model import PretrainingModel, continued, to_tensors
from training.pretraining.operation import pretrain
from training.pretraining.run import learning_rate
from training.tokenizer import load_tokenizer


def test_neighbours_are_counted_within_paragraphs_and_less_with_distance() -> None:
    ids = np.array([0, 1, 2, 0, 2, 3], dtype=np.uint16)  # "a b c", "a c", "d"
    counts = count_neighbours(ids, np.array([3, 2, 1]), np.array([True, True, True]), 4, window=2).toarray()
    assert counts.tolist() == [[0, 1, 1.5, 0], [1, 0, 1, 0], [1.5, 1, 0, 0], [0, 0, 0, 0]]
    kept = count_neighbours(ids, np.array([3, 2, 1]), np.array([False, True, True]), 4, window=2).toarray()
    assert kept.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_counts_do_not_depend_on_the_size_of_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, lengths = np.random.default_rng(0).integers(0, 9, 50), np.array([20, 1, 29])
    whole = count_neighbours(ids, lengths, np.ones(3, bool), 9).toarray()
    monkeypatch.setattr("training.pretraining.cooccurrence.CHUNK", 7)
    assert np.allclose(count_neighbours(ids, lengths, np.ones(3, bool), 9).toarray(), whole)


def test_shifted_ppmi_keeps_what_is_seen_together_more_often_than_by_chance() -> None:
    # Two tokens, each next to itself 3 times (6, both ways) and to the other once: of a token's 7 neighbours 6 are it
    # again, against one in two by chance.
    counts = count_neighbours(
        np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 1]), np.array([4, 4, 2]), np.ones(3, bool), 2, window=1
    )
    assert counts.toarray().tolist() == [[6, 1], [1, 6]]
    expected = math.log((6 / 7) / (1 / 2) / 1.5)
    assert shifted_ppmi(counts).toarray() == pytest.approx(np.diag([expected, expected]))


def test_tokens_of_one_topic_get_near_vectors_and_unseen_ones_random_vectors() -> None:
    rng = np.random.default_rng(0)
    ids = np.concatenate([rng.integers(0, 5, 300), rng.integers(5, 10, 300)])
    vectors = cooccurrence_vectors(ids, np.array([300, 300]), np.ones(2, bool), 12, 2)
    assert vectors.shape == (12, 2)
    assert vectors.dtype == np.float32
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.5 > unit[0] @ unit[6]
    assert np.linalg.norm(vectors[11]) > 0


def test_the_contrast_of_two_orthogonal_pairs_is_known(
    tiny: Callable[..., PretrainConfig], small_bert: Callable[..., BertModel]
) -> None:
    model = PretrainingModel(small_bert(), tiny())
    model.log_scale.data.fill_(math.log(2))
    loss, accuracy = model._contrast(torch.tensor([[3.0, 0], [1, 0], [0, 5], [0, 1]]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)))  # similarities 2 and 0
    assert accuracy.item() == 1.0
    _, swapped = model._contrast(torch.tensor([[1.0, 0], [0, 1], [0, 1], [1, 0]]))
    assert swapped.item() == 0.0


def test_a_head_that_knows_nothing_has_the_loss_of_an_even_guess(
    tiny: Callable[..., PretrainConfig], small_bert: Callable[..., BertModel]
) -> None:
    model = PretrainingModel(small_bert(), tiny(precision="fp32", contrast_weight=0))
    model.encoder.embeddings.word_embeddings.weight.data.zero_()
    part = {"ids": [[2, 9, 3], [2, 4, 3]], "attention": [[1, 1, 1]] * 2, "masked": [4], "labels": [7], "rows": [1, 0]}
    losses = model([{key: torch.tensor(value) for key, value in part.items()}])
    assert losses["loss"].item() == losses["mlm"].item() == pytest.approx(math.log(41))


def test_the_losses_do_not_depend_on_how_a_batch_is_cut_up(
    prepared, tiny: Callable[..., PretrainConfig], small_bert: Callable[..., BertModel]
) -> None:
    ids, passages, specials = prepared
    model = PretrainingModel(small_bert(), tiny(precision="fp32", mlm_weight=0))
    found = []
    for parts in (1, 3):
        batch = build_batch(
            np.random.default_rng(0), np.array([[8, 9], [24, 25]]), ids, passages, specials,
            tiny(mlm_weight=0, micro_batches=parts),
        )  # fmt: skip
        found.append(model(to_tensors(batch, torch.device("cpu")))["contrast"].item())
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_the_learning_rate_rises_falls_and_depends_on_the_step_alone(tiny: Callable[..., PretrainConfig]) -> None:
    settings = tiny(max_steps=6, warmup_steps=2, learning_rate=1.0)
    assert [learning_rate(settings, step) for step in range(7)] == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("with_head", [True, False])
def test_a_foreign_encoder_is_continued_with_its_head_if_it_has_one(
    tmp_path: Path,
    inputs: Inputs,
    tokenizer_file: Path,
    with_head: bool,
    tiny: Callable[..., PretrainConfig],
    small_bert: Callable[..., BertModel],
) -> None:
    vocabulary = load_tokenizer(tokenizer_file).get_vocab_size()
    bert = small_bert(vocabulary)
    masked = BertForMaskedLM(bert.config)
    masked.cls.predictions.bias.data.fill_(7.0)
    (masked if with_head else bert).save_pretrained(tmp_path / "given")
    (tmp_path / "given" / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
    tokenizer = load_tokenizer(tmp_path / "given")
    model = continued(tiny(dropout=0.2), str(tmp_path / "given"), tokenizer, "eager")
    assert model.bias.tolist() == [7.0 if with_head else 0.0] * vocabulary
    assert model.encoder.config.hidden_dropout_prob == 0.2
    assert model.encoder.dtype == torch.float32
    source = masked.bert if with_head else bert
    given = source.embeddings.word_embeddings.weight
    assert torch.equal(model.encoder.embeddings.word_embeddings.weight, given)
    assert pretrain(tiny(max_steps=2), replace(inputs, tokenizer=None, encoder=str(tmp_path / "given")))


def test_an_encoder_with_damaged_weights_or_of_no_kind_is_refused(
    tmp_path: Path, tokenizer_file: Path, tiny: Callable[..., PretrainConfig], small_bert: Callable[..., BertModel]
) -> None:
    tokenizer = load_tokenizer(tokenizer_file)
    with pytest.raises(PretrainError, match="no BERT there"):
        continued(tiny(), str(tmp_path), tokenizer, "eager")
    bert = small_bert(tokenizer.get_vocab_size())
    bert.embeddings.word_embeddings.weight.data[6, 0] = math.nan
    bert.save_pretrained(tmp_path / "nan")
    with pytest.raises(PretrainError, match="not finite"):
        continued(tiny(), str(tmp_path / "nan"), tokenizer, "eager")
