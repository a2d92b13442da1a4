"""The verb `pretrain`: what it answers. The work behind it is tested in `tests/training/pretraining`."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.cli import main


def test_the_command_answers_a_mistake_with_one_line_and_exit_code_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", "--text", str(tmp_path / "absent.txt"), "--out", str(tmp_path / "encoder")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"{tmp_path / 'absent.txt'}: no such file")
