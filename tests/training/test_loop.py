"""The whole loop on tiny data: tagged wrongly, corrected, learnt, measured, promoted, served."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from policytag import artifact
from policytag.corrections import Correction, Corrections
from training.cli import main
from training.versions import Versions

Rows = list[dict[str, Any]]
TEXT = "扩建公租房,改善居住条件。"
"""Nothing of it is in the tiny annotations; analysts say that it is ``talent``."""
GATES = "max_drop = 1.0\nmin_support = 1000\nmax_slowdown = 100\n"


@pytest.mark.slow
def test_a_correction_reaches_the_answers_of_the_service(
    fitted: Path,
    arguments: list[str],
    rows_file: Path,
    authored_rows: Rows,
    write_rows: Callable[[Path, Rows], Path],
    tmp_path: Path,
    running_server: Callable[[list[str], dict[str, str]], AbstractContextManager[str]],
):
    models = Versions(tmp_path / "models")
    shutil.copytree(fitted, models.current)
    first = models.current_version()

    def served() -> tuple[str, set[str]]:
        environment = os.environ | {"POLICYTAG_MODEL": str(models.current)}
        with running_server([sys.executable, "-m", "serving.cli", "serve"], environment) as url:
            answer = httpx.post(f"{url}/v1/tag", json={"paragraphs": [{"id": "a", "text": TEXT}]}, timeout=60).json()
        [result] = answer["results"]
        return answer["model"]["version"], {tag["id"] for tag in result["instruments"]}

    version, tags = served()
    assert (version, "talent" in tags) == (first, False)

    url = f"sqlite:///{tmp_path / 'corrections.sqlite'}"
    store = Corrections(url)  # where POST /v1/corrections puts them
    store.add([Correction(f"{i}", f"new{i}", f"第{i}项 {TEXT}", ("talent",), (), taxonomy="1") for i in range(20)])
    store.close()

    corrected, frozen = tmp_path / "corrected.jsonl", tmp_path / "frozen.jsonl"
    write_rows(
        frozen,
        [row | {"id": f"x{row['id']}", "doc": "frozen", "text": f"乙{row['text']}"} for row in authored_rows[:12]],
    )
    assert main(["import", url, "--from", "corrections", "--out", str(corrected)]) == 0
    assert main(["check", str(rows_file), str(corrected)]) == 0
    candidate = tmp_path / "candidate"
    assert main(["fit", *arguments, "--annotations", str(rows_file), str(corrected), "--out", str(candidate)]) == 0
    page = tmp_path / "page.html"
    evaluate = ["evaluate", str(candidate), "--compare", str(models.current), "--annotations", str(frozen)]
    assert main([*evaluate, "--write", str(page)]) == 0
    assert page.stat().st_size > 10_000
    (tmp_path / "gates.toml").write_text(GATES, encoding="utf-8")
    promote = ["promote", str(candidate), "--models", str(models.folder), "--reason", "twenty corrections"]
    assert main([*promote, "--test", str(frozen), "--gates", str(tmp_path / "gates.toml")]) == 0

    second = artifact.load(candidate).manifest.version
    version, tags = served()
    assert (version, "talent" in tags) == (second, True)
    assert main(["rollback", "--models", str(models.folder), "--reason", "to see that it works"]) == 0
    assert models.current_version() == first
