"""Joining labels with the text they were kept apart from."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from policytag.errors import InputError
from training import attach
from training.cli import main


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def label_row(name: str, text: str, *instruments: str) -> dict[str, Any]:
    row = {"id": name, "doc": "d", "instruments": list(instruments), "industries": []}
    return {**row, "text_sha256": attach.digest(text)}


def test_the_digest_is_the_sha256_of_the_stripped_text() -> None:
    # printf 'abc' | sha256sum
    assert attach.digest(" abc\n") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_lines_of_a_text_get_their_labels_and_the_others_are_left_out(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.jsonl", label_row("a", "给予补贴。", "subsidy"))
    text, out = tmp_path / "text.txt.xz", tmp_path / "out.jsonl"
    text.write_bytes(lzma.compress("别的。\n\n 给予补贴。\n给予补贴。\n".encode()))
    assert main(["attach", "--labels-apart", str(labels), "--text", str(text), "--out", str(out)]) == 0
    assert [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] == [
        {"id": "a", "doc": "d", "instruments": ["subsidy"], "industries": [], "text": "给予补贴。"}
    ]


def test_rows_of_a_jsonl_are_all_kept_and_those_with_newer_labels_changed(tmp_path: Path) -> None:
    old = [
        {"id": "x", "doc": "e", "text": "给予补贴。", "instruments": [], "industries": [], "round": 1},
        {"id": "y", "doc": "e", "text": "别的。", "instruments": ["talent"], "industries": []},
        {"id": "z", "doc": "f", "text": " 给予补贴。", "targets": {"talent": 0.4}},
    ]
    labels = attach.read_apart([write(tmp_path / "labels.jsonl", label_row("a", "给予补贴。", "subsidy"))])
    rows, found = attach.attach(labels, [write(tmp_path / "old.jsonl", *old)])
    new = {"instruments": ["subsidy"], "industries": []}
    assert rows == [{**old[0], **new}, old[1], {"id": "z", "doc": "f", "text": " 给予补贴。", **new}]
    assert found == 1


def test_a_file_may_be_written_over_the_one_it_was_made_from(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.jsonl", label_row("a", "给予补贴。", "subsidy"))
    rows = write(tmp_path / "rows.jsonl", {"id": "x", "text": "给予补贴。"}, {"id": "y", "text": "别的。"})
    assert main(["attach", "--labels-apart", str(labels), "--text", str(rows), "--out", str(rows)]) == 0
    assert [json.loads(line)["id"] for line in rows.read_text(encoding="utf-8").splitlines()] == ["x", "y"]


def test_labels_that_fit_no_text_are_an_error_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = write(tmp_path / "labels.jsonl", label_row("a", "给予补贴。"))
    text, out = tmp_path / "text.txt", tmp_path / "out.jsonl"
    text.write_text("别的。\n", encoding="utf-8")
    assert main(["attach", "--labels-apart", str(labels), "--text", str(text), "--out", str(out)]) == 1
    assert "none of the 1 labelled texts is in it" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("key", ["text_sha256", "instruments", "industries"])
def test_a_row_that_lacks_a_key_is_named_by_line(tmp_path: Path, key: str) -> None:
    row = label_row("a", "给予补贴。")
    del row[key]
    with pytest.raises(InputError, match=rf"labels\.jsonl:1: no '{key}'"):
        attach.read_apart([write(tmp_path / "labels.jsonl", row)])


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gbk.jsonl"
    path.write_bytes('{"text": "补贴"}'.encode("gbk"))
    with pytest.raises(InputError, match=r"gbk\.jsonl: byte 10 is not UTF-8"):
        attach.attach({}, [path])
