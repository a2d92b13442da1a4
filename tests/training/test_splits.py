"""Holding documents out: whole, balanced, the same for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from policytag.errors import InputError
from training.splits import hold_out

RNG = np.random.default_rng(0)
DOCS = [f"d{i // 4}" for i in range(800)]
GOLD = RNG.random((800, 3)) < [0.3, 0.1, 0.02]


def test_documents_stay_whole():
    held = hold_out(DOCS, GOLD, 0.1, seed=1)
    inside = {doc for doc, out in zip(DOCS, held, strict=True) if out}
    outside = {doc for doc, out in zip(DOCS, held, strict=True) if not out}
    assert inside
    assert outside
    assert not inside & outside


def test_paragraphs_and_every_label_are_held_out_in_proportion():
    held = hold_out(DOCS, GOLD, 0.1, seed=1)
    assert held.mean() == pytest.approx(0.1, abs=0.02)
    assert (GOLD[held].sum(axis=0) / GOLD.sum(axis=0)).tolist() == pytest.approx([0.1] * 3, abs=0.05)


def test_the_same_seed_gives_the_same_split_and_another_one_another():
    first, again, other = (hold_out(DOCS, GOLD, 0.1, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_order_of_the_rows_does_not_change_which_documents_are_held_out():
    turned = hold_out(DOCS[::-1], GOLD[::-1], 0.1, seed=1)[::-1]
    assert (turned == hold_out(DOCS, GOLD, 0.1, seed=1)).all()


def test_two_documents_are_split_into_one_and_one():
    assert hold_out(["a", "a", "b"], np.ones((3, 1), dtype=bool), 0.1, seed=0).sum() in (1, 2)


def test_one_document_cannot_be_split():
    with pytest.raises(InputError, match="expected at least 2"):
        hold_out(["a", "a"], np.ones((2, 1), dtype=bool), 0.1, seed=0)


def test_long_documents_are_held_out_no_more_often_than_short_ones():
    docs = [f"long{i // 20}" for i in range(400)] + [f"short{i}" for i in range(400)]
    held = np.array([hold_out(docs, GOLD, 0.2, seed) for seed in range(8)])
    assert held[:, :400].mean() == pytest.approx(0.2, abs=0.06)
