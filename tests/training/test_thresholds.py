"""Temperature and thresholds against answers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from policytag.calibration import decide, probabilities
from training.thresholds import fit, fit_temperature, fit_thresholds


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def test_temperature_makes_the_mean_confidence_right():
    # Logits of 2 that are right 9 times in 10: sigmoid(2 / T) = 0.9, T = 2 / ln 9.
    gold = column(*[1] * 9, 0).astype(bool)
    assert fit_temperature(column(*[2.0] * 10), gold) == pytest.approx(2 / np.log(9), abs=1e-3)


def test_temperature_of_calibrated_logits_is_one():
    logits = np.repeat(np.log([0.25 / 0.75, 0.75 / 0.25]), 4)[:, None]
    gold = column(1, 0, 0, 0, 1, 1, 1, 0).astype(bool)
    assert fit_temperature(logits, gold) == pytest.approx(1.0, abs=1e-3)


def test_temperature_is_bounded_where_everything_is_right():
    assert fit_temperature(column(5, -5), column(1, 0).astype(bool)) == pytest.approx(0.1, abs=1e-2)


def test_without_shrinking_the_threshold_is_the_best_one_nearest_to_the_shared_one():
    # Perfect for thresholds in (0.3, 0.6]; the shared one is 0.5, and so is the label's own.
    probability, gold = column(0.9, 0.6, 0.3, 0.1), column(1, 1, 0, 0).astype(bool)
    assert fit_thresholds(probability, gold, shrink=0, low=0.2, high=0.8) == pytest.approx([0.5])


def test_a_threshold_is_drawn_to_the_shared_one_as_far_as_its_support_is_small():
    # Label 0: perfect for (0.6, 0.7]. Label 1: perfect for (0.2, 0.3]. Both share support 2. The shared threshold that
    # maximises the mean: at 0.3, F1 of label 0 is 2*2/(4+1) = 0.8 and of label 1 1.0, mean 0.9; in (0.6, 0.7] label 0
    # has 1.0 and label 1 one of two, 2/3, mean 0.83.
    probability = np.array([[0.9, 0.9], [0.7, 0.3], [0.6, 0.2], [0.1, 0.1]], dtype=np.float32)
    gold = np.array([[1, 1], [1, 1], [0, 0], [0, 0]], dtype=bool)
    own = fit_thresholds(probability, gold, shrink=0, low=0.2, high=0.8)
    assert own == pytest.approx([0.61, 0.3])
    half = fit_thresholds(probability, gold, shrink=2, low=0.2, high=0.8)
    assert half == pytest.approx([(0.61 + 0.3) / 2, 0.3])
    assert fit_thresholds(probability, gold, shrink=1e6, low=0.2, high=0.8) == pytest.approx([0.3, 0.3], abs=1e-3)


def test_a_label_without_positives_has_the_shared_threshold():
    probability = np.array([[0.4, 0.9], [0.1, 0.9]], dtype=np.float32)
    gold = np.array([[1, 0], [0, 0]], dtype=bool)
    thresholds = fit_thresholds(probability, gold, shrink=0, low=0.2, high=0.8)
    assert thresholds[1] == thresholds[0] == pytest.approx(0.4)


def test_thresholds_stay_within_their_bounds():
    probability, gold = column(0.95, 0.93, 0.92), column(1, 0, 0).astype(bool)
    assert fit_thresholds(probability, gold, shrink=0, low=0.2, high=0.8) == pytest.approx([0.5])
    low = fit_thresholds(column(0.15, 0.05), column(1, 0).astype(bool), shrink=0, low=0.2, high=0.8)
    assert 0.2 <= low[0] <= 0.8


def test_what_is_fitted_on_separable_rows_decides_them_rightly():
    # A threshold of 0.5 would miss the second row's first label.
    logits = np.array([[3.0, -2.0], [-0.3, 2.0], [2.0, -3.0], [-1.5, -3.0]], dtype=np.float32)
    gold = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], dtype=bool)
    calibration = fit(logits, gold, shrink=0, low=0.1, high=0.9)
    assert (decide(probabilities(logits, calibration.temperature), calibration.thresholds) == gold).all()
    assert calibration.thresholds[0] < 0.5
