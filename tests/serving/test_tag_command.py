"""``policytag tag`` and ``policytag show``: what is written, what is said, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from serving.cli import main
from serving.report import Report
from serving.tagging import chunks, files, folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("【字号\n一、总体要求\n对软件企业给予补贴，引进人才。\n加强农业。\n", encoding="utf-8")
    return path


def test_a_row_has_the_keys_of_the_format_in_their_order(document: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["tag", str(document), "-o", str(out)]) == 0
    rows = rows_of(out)
    assert list(rows[2]) == (
        ["id", "doc", "index", "kind", "headings", "text", "status", "instruments", "industries", "truncated", "model"]
    )
    assert rows[2] | {"model": ""} == {
        "id": "a.txt#2",
        "doc": "a.txt",
        "index": 2,
        "kind": "body",
        "headings": ["一、总体要求"],
        "text": "对软件企业给予补贴，引进人才。",
        "status": "ok",
        "instruments": [
            {"id": "talent", "name": "人才引进", "score": 0.9569},
            {"id": "subsidy", "name": "资金补贴", "score": 0.9526},
        ],
        "industries": [{"id": "information_technology", "name": "信息技术", "score": 0.9734}],
        "truncated": False,
        "model": "",
    }


def test_furniture_is_written_in_its_place_and_never_tagged(tmp_path: Path) -> None:
    document, out = tmp_path / "a.txt", tmp_path / "out.jsonl"
    document.write_text("附件下载 补贴人才\n对企业给予补贴。\n", encoding="utf-8")
    assert main(["tag", str(document), "-o", str(out)]) == 0
    furniture, body = rows_of(out)
    assert (furniture["status"], furniture["instruments"], furniture["industries"]) == ("furniture", [], [])
    assert furniture["kind"] == "furniture"
    assert body["status"] == "ok"


def test_scores_adds_every_label_and_no_text_leaves_the_text_out(document: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["tag", str(document), "-o", str(out), "--scores", "--no-text"]) == 0
    row = rows_of(out)[2]
    assert "text" not in row
    assert len(row["scores"]) == 18
    assert (row["scores"]["subsidy"], row["scores"]["platform"]) == (0.9526, 0.018)


def test_jsonl_keeps_its_ids_and_order_over_several_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ITEMS", 3)
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    texts = ["补贴", "x", "招商", "农业"] * 3
    lines = [json.dumps({"id": f"row-{i}", "text": text}) for i, text in enumerate(texts)]
    source.write_text("\n".join(lines), encoding="utf-8")
    assert main(["tag", str(source), "-o", str(out)]) == 0
    rows = rows_of(out)
    assert [row["id"] for row in rows] == [f"row-{i}" for i in range(12)]
    assert [[t["id"] for t in row["instruments"]] for row in rows[:4]] == [
        ["subsidy"],
        [],
        ["investment_promotion"],
        [],
    ]


def test_a_text_beyond_the_recipe_is_tagged_by_its_beginning_and_says_so(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps({"id": "long", "text": "补" + "无" * 500 + "才"}), encoding="utf-8")
    assert main(["tag", str(source), "-o", str(out)]) == 0
    [row] = rows_of(out)
    assert row["truncated"] is True
    assert [tag["id"] for tag in row["instruments"]] == ["subsidy"]


BAD_LINES = {
    '{"id": "b"': "not JSON (column 11: Expecting ',' delimiter); expected one object a line",
    '{"id": "c"}': "'text' is missing; expected a string",
    '{"id": "a", "text": "审批"}': "duplicate id 'a', first at {file}:1; rename one",
    '{"id": "d", "text": " "}': "'text' is blank; expected at least one readable character",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_row_gets_one_line_and_the_good_ones_are_written(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = ['{"id": "a", "text": "补贴"}', line, '{"id": "z", "text": "人才"}']
    source.write_text("\n".join(good) + "\n", encoding="utf-8")
    assert main(["tag", str(source), "-o", str(out)]) == 3
    reason = BAD_LINES[line].format(file=source)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"{source}:2: {reason}"
    assert said[1].startswith("policytag: 2 paragraphs tagged, 0 furniture, 1 rejected;")
    first, bad, last = rows_of(out)
    assert (first["status"], last["status"], last["id"]) == ("ok", "ok", "z")
    assert (bad["doc"], bad["line"], bad["status"], bad["error"]) == ("in.jsonl", 2, "rejected", reason)


BAD_FILES = {
    b"": "empty document; expected at least one line of text",
    b" \r\n\n": "empty document; expected at least one line of text",
    bytes(range(256)) * 4: "unknown encoding; expected UTF-8, UTF-16, GB18030 or Big5. Save it as UTF-8",
}


@pytest.mark.parametrize("data", BAD_FILES, ids=["empty", "blank", "noise"])
def test_a_bad_file_gets_one_line_and_its_neighbours_are_tagged(
    data: bytes, document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = tmp_path / "0.txt", tmp_path / "out.jsonl"
    bad.write_bytes(data)
    assert main(["tag", str(bad), str(document), "-o", str(out)]) == 3
    assert capsys.readouterr().err.splitlines()[0] == f"{bad}: {BAD_FILES[data]}"
    rejected, *rest = rows_of(out)
    assert rejected == {"doc": "0.txt", "status": "rejected", "error": BAD_FILES[data]}
    assert len(rest) == 4


def test_an_unreadable_file_gets_one_line(document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop, out = tmp_path / "0.txt", tmp_path / "out.jsonl"
    loop.symlink_to(loop)
    assert main(["tag", str(loop), str(document), "-o", str(out)]) == 3
    assert capsys.readouterr().err.splitlines()[0] == (
        f"{loop}: cannot be read (Too many levels of symbolic links); check path and permissions"
    )
    assert [row["status"] for row in rows_of(out)] == ["rejected", "furniture", "ok", "ok", "ok"]


def test_a_failed_run_leaves_the_old_output_and_can_be_taken_up(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder.os, "fsync", full)
        assert main(["tag", str(document), "-o", str(out)]) == 1
    assert out.read_text(encoding="utf-8") == "old"
    assert "No space left on device; check the path, its permissions and the free space" in capsys.readouterr().err
    assert main(["tag", str(document), "-o", str(out), "--resume"]) == 0
    assert len(rows_of(out)) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.txt", "-o", "out"], 1, "nowhere.txt: no such file or folder"),
        (["a.txt", "-o", "no/folder/out"], 1, "no/folder/out: No such file or directory; check the path"),
        (["a.txt", "-o", "a.txt"], 2, "a.txt: is both input and output; write to another file"),
        (["a.txt", "-o", "out", "--html", "a.txt"], 2, "a.txt: is both input and output; write to another file"),
        (["a.txt", "-o", "/"], 1, "/: Is a directory; check the path"),
        (["a.txt", "-o", "-", "--summary"], 2, "--summary prints to stdout, where - puts other things"),
        (
            ["a.txt", "-o", "out", "--html", "-", "--summary"],
            2,
            "--summary prints to stdout, where - puts other things",
        ),
        (["a.txt", "-o", "out", "--html", "./out"], 2, "./out: is named twice for output; write to another file"),
        (["a.txt", "-o", "-", "--html", "-"], 2, "-: is named twice for output; write to another file"),
        (["a.txt", "-o", "out", "--html", "no/report"], 1, "no/report: No such file or directory; check the path"),
        (["a.txt", "-o", "out", "--model", "no"], 1, "no: no such model folder; expected one made by"),
    ],
)
def test_a_mistake_gets_one_line_and_writes_nothing(
    arguments: list[str],
    code: int,
    words: str,
    document: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(document.parent)
    assert main(["tag", *arguments]) == code
    said = capsys.readouterr().err
    assert said.startswith(f"policytag: {words}")
    assert said.count("\n") == 1
    assert [path.name for path in document.parent.iterdir()] == ["a.txt"]


def test_rows_go_to_stdout_and_all_else_to_stderr(document: Path) -> None:
    command = [sys.executable, "-m", "serving.cli", "tag", str(document), "-o", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert [json.loads(line)["index"] for line in done.stdout.splitlines()] == [0, 1, 2, 3]
    assert "补贴".encode() in done.stdout
    assert done.stderr.startswith(b"policytag: 3 paragraphs tagged, 1 furniture, 0 rejected; 1 document(s)")


def test_a_pipe_is_written_to_and_not_replaced(document: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        received = pool.submit(pipe.read_bytes)
        assert main(["tag", str(document), "-o", str(pipe)]) == 0
        assert len(received.result(timeout=10).splitlines()) == 4
    assert pipe.is_fifo()


def test_a_write_protected_output_is_left_as_it_is(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old", encoding="utf-8")
    monkeypatch.setattr(files.os, "access", lambda path, mode: path != out)  # root may write anywhere
    assert main(["tag", str(document), "-o", str(out)]) == 1
    assert out.read_text(encoding="utf-8") == "old"
    assert capsys.readouterr().err.startswith(f"policytag: {out}: Permission denied; check the path")


def test_an_output_that_others_may_not_read_stays_so(document: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.touch(mode=0o600)
    assert main(["tag", str(document), "-o", str(out)]) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert len(rows_of(out)) == 4


def test_a_report_that_cannot_be_finished_does_not_take_the_rows_with_it(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: Report) -> Iterator[str]:
        yield "<html>"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Report, "render", full)
    out, html = tmp_path / "out.jsonl", tmp_path / "report.html"
    assert main(["tag", str(document), "-o", str(out), "--html", str(html)]) == 1
    assert capsys.readouterr().err.startswith(f"policytag: {html}: No space left on device")
    assert len(rows_of(out)) == 4
    assert not html.exists()


def test_a_file_whose_name_is_no_text_is_tagged(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xb0.txt")
    (tmp_path / name).write_text("补贴。", encoding="utf-8")
    out, html = tmp_path / "out.jsonl", tmp_path / "report.html"
    assert main(["tag", str(tmp_path / name), "-o", str(out), "--html", str(html), "--summary"]) == 0
    assert rows_of(out)[0]["doc"] == name


def test_a_missing_argument_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["tag", "a.txt"])
    assert exit_.value.code == 2


def test_the_summary_goes_to_stdout(document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tag", str(document), "-o", str(tmp_path / "out"), "--summary"]) == 0
    assert "资金补贴" in capsys.readouterr().out


def test_show_prints_what_tag_wrote(document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    main(["tag", str(document), "-o", str(out)])
    capsys.readouterr()
    assert main(["show", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "人才引进 0.96" in printed
    assert "== a.txt: 标注 3 段 (其中 1 段无标签), 附加信息 1 段, 拒绝 0 项" in printed


@pytest.mark.parametrize(
    "line",
    [
        "【字号",
        "[" * 100_000,
        "[]",
        '{"doc": "a", "status": "ok"}',
        '{"doc": "a", "status": "rejected"}',
        '{"doc": "a", "status": ["ok"]}',
        '{"doc": ["a"], "status": "rejected", "error": "x"}',
    ],
    ids=range(7),
)
def test_show_refuses_what_tag_did_not_write(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line, encoding="utf-8")
    assert main(["show", str(path)]) == 1
    assert capsys.readouterr().err == (
        f"policytag: {path}:1: not a row; expected a file written by 'policytag tag -o'\n"
    )


def test_a_reader_that_goes_away_is_no_traceback(document: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    main(["tag", str(document), "-o", str(out)])
    command = f"{sys.executable} -m serving.cli show {out} | true"
    done = subprocess.run(command, shell=True, capture_output=True, check=False)
    assert done.stderr == b""


def test_lines_of_invisible_characters_do_not_stop_a_run(tmp_path: Path) -> None:
    document, out = tmp_path / "a.txt", tmp_path / "out.jsonl"
    document.write_text("对企业给予补贴。\n\u200b\u200b\n\ue000\n引进人才。\n", encoding="utf-8")
    assert main(["tag", str(document), "-o", str(out)]) == 0
    assert [row["status"] for row in rows_of(out)] == ["ok", "furniture", "furniture", "ok"]


def test_a_file_named_twice_is_tagged_once(document: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["tag", str(document), str(document.parent), "-o", str(out)]) == 0
    assert len(rows_of(out)) == 4


def test_a_lone_surrogate_is_written_so_that_it_can_be_read_back(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": "a", "text": "\\ud800补"}', encoding="utf-8")
    assert main(["tag", str(source), "-o", str(out), "--html", str(tmp_path / "report.html")]) == 0
    assert rows_of(out)[0]["text"] == "\ud800补"
