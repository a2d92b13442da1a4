"""The settings: the project's values, and mistakes answered with the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.pretraining.config import load_config
from training.pretraining.errors import PretrainError


def test_the_default_settings_are_this_projects() -> None:
    settings = load_config()
    shape = (settings.hidden_layers, settings.hidden_size, settings.attention_heads, settings.intermediate_size)
    assert shape == (4, 256, 4, 1024)
    assert (settings.max_positions, settings.batch_pairs, settings.learning_rate) == (512, 64, 1e-3)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("max_step = 3", "unknown key 'max_step'; did you mean 'max_steps'"),
        ("max_steps = 'many'", "'max_steps' is 'many', expected a value of type int"),
        ("max_steps = true", "'max_steps' is True"),
        ("precision = 'fp8'", "expected one of: bf16, fp32"),
        ("max_tokens = 511", "max_tokens <= max_positions - 2"),
        ("batch_pairs = 0", "expected a positive number"),
        ("learning_rate = nan", "expected a positive number"),
        ("mask_rate = 15.0", "'mask_rate' is 15.0, expected less than 1"),
        ("dropout = 1.0", "'dropout' is 1.0, expected less than 1"),
        ("mlm_weight = 0\ncontrast_weight = 0", "nothing to learn"),
        ("max_steps = ", "not a TOML file"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_files_name(tmp_path: Path, toml: str, message: str) -> None:
    (tmp_path / "c.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(PretrainError, match=message) as caught:
        load_config(tmp_path / "c.toml")
    assert str(caught.value).startswith(str(tmp_path / "c.toml"))
