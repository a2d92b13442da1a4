"""`python -m bench.encoders` over a tiny encoder: what it compares, and that it goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import encoders
from policytag.taxonomy import Taxonomy
from training import annotations, config


@pytest.fixture
def recipe(tmp_path: Path, settings_file: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(settings_file.read_text(encoding="utf-8").replace("epochs = 30", "epochs = 2"), encoding="utf-8")
    return path


def test_a_killed_comparison_goes_on_and_its_table_has_every_encoder_and_seed(
    tmp_path: Path,
    rows_file: Path,
    recipe: Path,
    tiny_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "runs.json"
    command = ["encoders", "--annotations", str(rows_file), "--dev", str(rows_file), "--config", str(recipe)]
    command += ["--encoder", f"tiny={tiny_encoder}", "--out", str(out), "--seeds"]
    monkeypatch.setattr(sys, "argv", [*command, "1"])
    encoders.main()
    first = json.loads(out.read_text(encoding="utf-8"))
    assert {run["name"] for run in first.values()} == {"tiny", encoders.RANDOM, encoders.TFIDF}
    monkeypatch.setattr(sys, "argv", [*command, "2"])
    encoders.main()
    both = json.loads(out.read_text(encoding="utf-8"))
    assert len(both) == 6
    assert {key: both[key] for key in first} == first  # times too: not run again
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| 60 | tiny | ") for line in lines) == 2  # a table after each


def test_a_share_of_the_rows_keeps_documents_apart(rows_file: Path, taxonomy: Taxonomy) -> None:
    rows = annotations.read([rows_file], taxonomy)
    data = encoders.draw(rows, rows, 20, config.load(None))
    assert len(data.train) == 20
    assert data.held_out
    assert not {row.doc for row in data.train} & {row.doc for row in data.held_out}
