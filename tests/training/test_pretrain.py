"""The verb `pretrain`: what it answers. The work behind it is tested in `tests/training/pretraining`."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import pretrain as program


def test_the_command_answers_a_mistake_with_one_line_and_exit_code_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = program.main(["--text", str(tmp_path / "absent.txt"), "--out", str(tmp_path / "encoder")])
    assert code == 1
    assert "absent.txt: no such file" in caplog.text
