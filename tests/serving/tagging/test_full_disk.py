"""A disk that is full in the middle of a run: a real one, of one megabyte."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.cli import main
from serving.tagging import run as run_module
from serving.tagging.run import run_folder

ROWS = 20_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this system lets nobody mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("own_ids", [True, False])
def test_a_full_disk_stops_a_run_with_its_committed_rows_intact_and_room_lets_it_go_on(
    small_disk: Path, tmp_path: Path, own_ids: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_module, "COMMIT_SECONDS", 0.1)
    if own_ids:
        source = tmp_path / "in.jsonl"
        rows = (json.dumps({"id": f"r{i}", "text": f"补贴{i}"}) for i in range(ROWS))
    else:
        source = tmp_path / "in.csv"
        rows = ["text", *(f"补贴{i}" for i in range(ROWS))]
    source.write_text("\n".join(rows), encoding="utf-8")
    whole, out = tmp_path / "whole.jsonl", small_disk / "out.jsonl"
    assert main(["tag", str(source), "-o", str(whole)]) == 0
    capsys.readouterr()

    assert main(["tag", str(source), "-o", str(out)]) == 1
    said = capsys.readouterr().err
    assert "No space left on device; check the path, its permissions and the free space" in said
    assert said.count("\n") == 1
    assert main(["tag", str(source), "-o", str(out), "--resume"]) == 1  # still full
    state = run_folder(str(out))
    committed = json.loads((state / "progress.json").read_text())["rows_bytes"]
    assert 0 < committed < whole.stat().st_size
    assert (state / "rows.jsonl").read_bytes()[:committed] == whole.read_bytes()[:committed]
    assert not out.exists()

    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert main(["tag", str(source), "-o", str(out), "--resume"]) == 0
    assert out.read_bytes() == whole.read_bytes()
