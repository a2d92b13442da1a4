"""Runs that are interrupted, taken up, refused or repeated: every item ends in exactly one row."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.cli import main
from serving.tagging import chunks
from serving.tagging import run as run_module
from serving.tagging.folder import RunFolder
from serving.tagging.run import run_folder
from serving.tagging.seen import SeenIds

WORDS = ["对企业给予补贴。", "引进人才。", "软件产业。", "无关内容。"]


def write_rows(path: Path, count: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for i in range(count):
            file.write(json.dumps({"id": f"r{i}", "text": WORDS[i % 4] + str(i)}, ensure_ascii=False) + "\n")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of documents, tables and things that cannot be read."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(
            "一、总则\n" + "".join(f"{w}{number}。\n" for w in WORDS), encoding="utf-8"
        )
    write_rows(folder / "rows.jsonl", 40)
    (folder / "bad.jsonl").write_text(
        '{"id": "r1", "text": "补贴"}\nx\n{"id": "z", "text": "人才"}\n', encoding="utf-8"
    )
    (folder / "scan.png").write_bytes(b"\x89PNG")
    return folder


def tag(source: Path, out: Path, *options: str) -> int:
    return main(["tag", str(source), "-o", str(out), *options])


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((run_folder(str(out)) / "manifest.json").read_text())


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Has the model fail at its ``count``-th chunk; every chunk before is committed."""
    monkeypatch.setattr(run_module, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(chunks, "CHUNK_ITEMS", 7)
    real, calls = chunks.tag_chunk, iter(range(count))

    def failing(*arguments: Any) -> chunks.Tagged:
        if next(calls, None) is None:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(chunks, "tag_chunk", failing)


@pytest.mark.parametrize("stops", [[1], [3], [2, 2, 2], [1] * 12])
def test_a_run_that_is_taken_up_gives_the_bytes_of_one_that_was_not_interrupted(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "CHUNK_ITEMS", 7)
        assert tag(corpus, tmp_path / "whole.jsonl") == 3
    out = tmp_path / "out.jsonl"
    for count in stops:
        with monkeypatch.context() as patch:
            stop_after(patch, count)
            tag(corpus, out, "--resume")
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "CHUNK_ITEMS", 7)
        assert tag(corpus, out, "--resume") == 3
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    both = [run_folder(str(path)) for path in (out, tmp_path / "whole.jsonl")]
    for name in ("files.jsonl", "inputs.jsonl", "rejected.jsonl"):
        assert (both[0] / name).read_bytes() == (both[1] / name).read_bytes()


def test_every_item_has_one_row_and_the_manifest_says_what_was_done(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert tag(corpus, out) == 3
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 6 * 5 + 40 + 3 + 1
    said = manifest(out)
    assert said["state"] == "finished"
    assert said["counts"] == {"ok": 30 + 39 + 2, "furniture": 0, "rejected": 3}
    assert said["model"] == rows[0]["model"]
    folder = run_folder(str(out))
    files = [json.loads(line) for line in (folder / "files.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {f["doc"]: (f["format"], f["encoding"], f["items"], f["rejected"]) for f in files} == {
        **{f"{n}.txt": ("txt", "utf-8", 5, 0) for n in range(6)},
        "bad.jsonl": ("jsonl", "utf-8", 3, 1),
        "rows.jsonl": ("jsonl", "utf-8", 40, 1),
        "scan.png": (None, None, 1, 1),
    }
    listed = [json.loads(line) for line in (folder / "inputs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(len(entry["sha256"]) == 64 for entry in listed)
    reasons = [
        json.loads(line)["error"] for line in (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(reasons) == 3
    assert any(reason.startswith(f"duplicate id 'r1', first at {corpus / 'bad.jsonl'}:1") for reason in reasons)


def interrupted(corpus: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert tag(corpus, out) == 1
        assert manifest(out)["state"] == "running"


def test_an_unfinished_run_is_neither_taken_up_nor_thrown_away_unasked(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    interrupted(corpus, out, monkeypatch)
    capsys.readouterr()
    assert tag(corpus, out) == 1
    assert capsys.readouterr().err == (
        f"policytag: {out}.run: an unfinished run; go on with --resume, or start anew with --overwrite\n"
    )
    assert tag(corpus, out, "--overwrite") == 3
    assert len(out.read_bytes().splitlines()) == 74


def change_input(corpus: Path) -> list[str]:
    (corpus / "3.txt").write_text("补贴。\n", encoding="utf-8")
    return []


def add_input(corpus: Path) -> list[str]:
    (corpus / "2b.txt").write_text("补贴。\n", encoding="utf-8")
    return []


def drop_input(corpus: Path) -> list[str]:
    (corpus / "scan.png").unlink()
    return []


def change_option(_: Path) -> list[str]:
    return ["--scores"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_input, "of the inputs, {corpus}/3.txt has changed"),
        (add_input, "of the inputs, {corpus}/2b.txt stands in the place of {corpus}/3.txt"),
        (drop_input, "of the inputs, {corpus}/scan.png is gone"),
        (change_option, "the option scores was False and is True"),
    ],
)
def test_a_run_whose_conditions_changed_is_taken_up_only_by_force(
    change: Any,
    words: str,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.jsonl"
    interrupted(corpus, out, monkeypatch)
    monkeypatch.setattr(chunks, "CHUNK_ITEMS", 7)
    options = change(corpus)
    capsys.readouterr()
    assert tag(corpus, out, "--resume", *options) == 1
    assert words.format(corpus=corpus) in capsys.readouterr().err
    assert tag(corpus, out, "--resume", "--force", *options) == 3
    assert words.format(corpus=corpus) in manifest(out)["forced"]


def test_another_model_is_a_change(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    interrupted(corpus, out, monkeypatch)
    folder = run_folder(str(out))
    said = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(said | {"model": "000000000000"}))
    monkeypatch.setattr(chunks, "CHUNK_ITEMS", 7)
    assert tag(corpus, out, "--resume") == 1
    assert "the model was 000000000000 and is " in capsys.readouterr().err


def test_two_runs_on_one_output_are_one_too_many(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    folder = run_folder(str(out))
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        assert tag(corpus, out) == 1
    assert "another run (process 4711) is writing there" in capsys.readouterr().err


def test_a_finished_run_can_be_repeated_and_its_report_made_later(corpus: Path, tmp_path: Path) -> None:
    out, html = tmp_path / "out.jsonl", tmp_path / "report.html"
    assert tag(corpus, out) == 3
    before = out.read_bytes()
    assert tag(corpus, out, "--resume", "--html", str(html)) == 3
    assert html.stat().st_size > 10_000
    assert out.read_bytes() == before
    assert tag(corpus, out) == 3
    assert out.read_bytes() == before


def test_a_finished_table_is_left_as_it_is(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.parquet"
    assert tag(corpus, out, "--resume") == 3
    before = out.stat()
    assert tag(corpus, out, "--resume") == 3
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "71 paragraphs tagged, 0 furniture, 3 rejected; 9 document(s)" in capsys.readouterr().err.splitlines()[-1]
    assert tag(corpus, out, "--resume", "--html", str(tmp_path / "r.html")) == 1
    assert "its rows are not kept; start anew without --resume" in capsys.readouterr().err


def test_workers_give_the_same_bytes_in_the_same_order(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ITEMS", 7)
    assert tag(corpus, tmp_path / "one.jsonl") == 3
    assert tag(corpus, tmp_path / "two.jsonl", "--workers", "2") == 3
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--force"], "--force goes with --resume"),
        (["--resume", "--overwrite"], "choose one"),
    ],
)
def test_options_that_contradict_each_other_are_a_usage_error(
    corpus: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tag(corpus, tmp_path / "out.jsonl", *options) == 2
    assert words in capsys.readouterr().err


def test_what_cannot_be_read_or_written_twice_is_not_taken_up(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tag", "-", "-o", str(tmp_path / "out.jsonl"), "--resume"]) == 2
    assert "standard input cannot be read twice" in capsys.readouterr().err
    assert tag(corpus, Path("-"), "--resume") == 2
    assert "what is written there cannot be taken up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "options", "ids"),
    [
        (b'{"id": "a", "text": "x"}\n{"id": "b", "text": "y"}\n', [], ["a", "b"]),
        ("一、甲\n补贴。".encode("gb18030"), [], ["stdin.txt#0", "stdin.txt#1"]),
        ("正文,id\n补贴,7\n".encode(), ["--stdin-format", "csv"], ["7"]),
    ],
)
def test_standard_input_is_read_in_any_format(data: bytes, options: list[str], ids: list[str]) -> None:
    command = [sys.executable, "-m", "serving.cli", "tag", "-", "-o", "-", *options]
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ids


def test_an_id_seen_at_the_same_place_again_is_no_duplicate(tmp_path: Path) -> None:
    ids = SeenIds(tmp_path / "ids.sqlite")
    assert ids.first("a", (0, 1)) is None
    assert ids.first("a", (0, 1)) is None
    assert ids.first("a", (1, 5)) == (0, 1)
    ids.commit()
    assert ids.first("b", (0, 2)) is None
    ids.close()
    again = SeenIds(tmp_path / "ids.sqlite")
    assert again.first("b", (9, 9)) is None
    assert again.first("a", (9, 9)) == (0, 1)


def test_a_run_that_stops_after_its_rows_are_in_place_keeps_them(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.jsonl"
    assert tag(corpus, tmp_path / "whole.jsonl") == 3
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        assert tag(corpus, out) == 1
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert manifest(out)["state"] == "running"
    assert tag(corpus, out, "--resume") == 3
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert manifest(out)["state"] == "finished"


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_loses_and_doubles_nothing(tiny_model: Path) -> None:
    command = [sys.executable, "-m", "bench.kills", "--rows", "20000", "--kills", "20", "--longest", "3"]
    done = subprocess.run([*command, "--model", str(tiny_model)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 lost, 0 doubled, 0 of" in done.stdout
