import math

import numpy as np
import pytest

from policytag.calibration import Calibration, decide, probabilities, sigmoid
from policytag.errors import ArtifactError


def test_the_sigmoid_is_right_where_it_is_known_and_never_overflows() -> None:
    got = sigmoid(np.array([0.0, math.log(3), -1e4, 1e4], dtype=np.float32))
    np.testing.assert_allclose(got, [0.5, 0.75, 0, 1], atol=1e-6)


def test_a_temperature_above_one_pulls_probabilities_to_a_half() -> None:
    [[p]] = probabilities(np.array([[2 * math.log(3)]]), temperature=2.0)
    assert p == pytest.approx(0.75)


def test_a_probability_at_the_threshold_is_assigned() -> None:
    assert decide(np.array([[0.5, 0.49, 0.51]]), (0.5, 0.5, 0.5)).tolist() == [[True, False, True]]


def test_calibration_survives_the_round_trip() -> None:
    calibration = Calibration(1.5, (0.4, 0.6))
    assert Calibration.from_dict(calibration.to_dict(["a", "b"]), ["a", "b"]) == calibration


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"temperature": 0, "thresholds": {"a": 0.5}}, "temperature 0.0; expected a positive number"),
        ({"temperature": math.nan, "thresholds": {"a": 0.5}}, "temperature nan"),
        ({"temperature": 1, "thresholds": {"a": 1.5}}, "threshold 1.5 in column 0; expected 0 to 1"),
        ({"temperature": 1, "thresholds": {"b": 0.5}}, "thresholds and taxonomy differ in a, b"),
    ],
)
def test_impossible_calibrations_are_refused(data: dict, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Calibration.from_dict(data, ["a"])
