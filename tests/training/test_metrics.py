"""Figures against answers computed by hand, intervals against what they must be."""

from __future__ import annotations

import time

import numpy as np
import pytest

from policytag.taxonomy import Label, Taxonomy
from training import metrics
from training.metrics import Bootstrap

TAXONOMY = Taxonomy(
    "1",
    (
        Label("subsidy", "instrument", "资金补贴", "Subsidies", "x"),
        Label("finance", "instrument", "金融支持", "Finance", "x"),
        Label("agriculture", "industry", "农业", "Agriculture", "x"),
    ),
)
DOCS = ["a", "a", "b", "b"]
GOLD = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=bool)
CHOSEN = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1], [1, 0, 0]], dtype=bool)


def score() -> dict:
    bootstrap = Bootstrap.draw(DOCS, 200, seed=1)
    return metrics.score(GOLD, CHOSEN, CHOSEN.astype(float), TAXONOMY, bootstrap)


def test_precision_recall_and_f1_of_a_label():
    # subsidy: two hits, one extra, one missed.
    subsidy = score()["labels"]["subsidy"]
    assert (subsidy["precision"], subsidy["recall"], subsidy["f1"]) == (0.6667, 0.6667, 0.6667)
    assert (subsidy["support"], subsidy["predicted"]) == (3, 3)


def test_macro_leaves_out_labels_with_neither_positives_nor_predictions():
    # subsidy 2/3, finance undefined, agriculture 1.
    groups = score()["groups"]
    assert groups["all"]["macro_f1"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-4)
    assert groups["instrument"]["macro_f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert groups["industry"]["macro_f1"] == 1.0
    assert groups["core_instruments"]["macro_f1"] == pytest.approx(2 / 3, abs=1e-4)


def test_micro_counts_all_decisions_together():
    # Four hits, one extra, one missed: 8 / 10.
    assert score()["groups"]["all"]["micro_f1"] == 0.8


def test_average_precision_of_a_label():
    # Ranks of the positives of three: 1 and 3: (1/1 + 2/3) / 2.
    ranks = np.array([[0.9], [0.5], [0.1]]).repeat(3, axis=1)
    gold = np.array([[1], [0], [1]], dtype=bool).repeat(3, axis=1)
    result = metrics.score(gold, gold, ranks, TAXONOMY, Bootstrap.draw(["a", "b", "c"], 10, seed=1))
    assert result["groups"]["all"]["mean_average_precision"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-4)


def test_intervals_hold_the_figure_and_resample_documents():
    low, high = score()["groups"]["all"]["micro_f1_ci"]
    # Document a alone: two hits, one missed, 4/5; b alone: two hits, one extra, 4/5.
    assert low == high == 0.8
    low, high = score()["labels"]["subsidy"]["f1_ci"]
    assert low == high == pytest.approx(2 / 3, abs=1e-4)
    low, high = metrics.score(
        GOLD, GOLD & np.array([[True], [True], [False], [False]]), GOLD * 1.0, TAXONOMY, Bootstrap.draw(DOCS, 200, 1)
    )["groups"]["all"]["micro_f1_ci"]
    assert (low, high) == (0.0, 1.0)


def test_a_model_does_not_differ_from_itself():
    bootstrap = Bootstrap.draw(DOCS, 100, seed=1)
    counts = bootstrap.counts(GOLD, CHOSEN)
    assert metrics.difference(counts, counts, TAXONOMY, bootstrap)["all"] == {
        "macro_f1": 0.0,
        "macro_f1_ci": [0.0, 0.0],
    }


def test_differences_are_paired():
    # Worse by the same amount in every document: the interval is a point though each model's own is wide.
    docs = [str(i) for i in range(20)]
    gold = np.tile([[1, 1, 1]], (20, 1)).astype(bool)
    worse = gold.copy()
    worse[:, 2] = False
    bootstrap = Bootstrap.draw(docs, 100, seed=1)
    found = metrics.difference(bootstrap.counts(gold, gold), bootstrap.counts(gold, worse), TAXONOMY, bootstrap)
    assert found["all"]["macro_f1"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["all"]["macro_f1_ci"] == pytest.approx([1 / 3, 1 / 3], abs=1e-4)


def test_calibration_error_by_hand():
    probability = np.full((4, 1), 0.8)
    assert metrics.calibration_error(probability, np.array([[1], [1], [0], [0]], dtype=bool)) == pytest.approx(0.3)
    assert metrics.calibration_error(np.array([[1.0], [0.0]]), np.array([[1], [0]], dtype=bool)) == 0


def test_a_thousand_resamples_of_real_size_take_less_than_two_seconds_of_computing():
    rng = np.random.default_rng(0)
    gold = rng.random((5000, 3)) < 0.1
    docs = [str(i // 2) for i in range(5000)]
    started = time.process_time()
    metrics.score(gold, gold, rng.random((5000, 3)), TAXONOMY, Bootstrap.draw(docs, 1000, seed=1))
    assert time.process_time() - started < 2
