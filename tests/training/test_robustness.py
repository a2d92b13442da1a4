"""Changes of writing that a reader does not notice, and whether tags survive them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from policytag.tagger import Tagger
from policytag.text import normalise
from training import robustness
from training.cli import main

TEXT = "对引进的人才给予补贴，支持AI芯片5g应用。"


@pytest.mark.parametrize("name", list(robustness.changes()))
def test_every_change_changes_the_writing_and_no_word(name: str) -> None:
    changed = robustness.changes()[name](TEXT * 4, random.Random(1))
    assert changed != TEXT * 4
    assert normalise(changed).lower() == normalise(TEXT * 4).lower()


def test_blanks_go_between_chinese_characters_only() -> None:
    assert all(
        "AI" in robustness.put_in(TEXT, " ", random.Random(seed))
        and "5g" in robustness.put_in(TEXT, " ", random.Random(seed))
        for seed in range(50)
    )


def test_a_change_that_hides_a_word_shows_in_the_share(tiny_model: Path) -> None:
    tagger = Tagger.load(tiny_model)
    named = {"none": lambda text, _: text, "no subsidy": lambda text, _: text.replace("补", "某")}
    assert robustness.unchanged(tagger, ["给予补贴", "引进人才"], named, seed=1) == {"none": 1.0, "no subsidy": 0.5}


def test_the_command_prints_a_share_for_every_change(
    fitted: Path, rows_file: Path, labels_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["robustness", "--model", str(fitted), "--data", str(rows_file), "--labels", str(labels_folder)]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(robustness.changes())
    assert all(0 <= float(line.split()[-1]) <= 1 for line in lines[1:])
