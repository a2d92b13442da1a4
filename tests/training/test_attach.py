from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

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
    ]
    labels = attach.read_apart([write(tmp_path / "labels.jsonl", label_row("a", "给予补贴。", "subsidy"))])
    rows = list(attach.attach(labels, [write(tmp_path / "old.jsonl", *old)]))
    assert rows == [({**old[0], "instruments": ["subsidy"]}, True), (old[1], False)]


def test_labels_that_fit_no_text_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = write(tmp_path / "labels.jsonl", label_row("a", "给予补贴。"))
    text = tmp_path / "text.txt"
    text.write_text("别的。\n", encoding="utf-8")
    assert main(["attach", "--labels-apart", str(labels), "--text", str(text), "--out", str(tmp_path / "o")]) == 1
    assert "none of the 1 labelled texts is in it" in capsys.readouterr().err


def test_a_row_without_a_digest_is_named_by_line(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.jsonl", {"id": "a", "text": "给予补贴。"})
    with pytest.raises(attach.InputError, match=r"labels\.jsonl:1: no 'text_sha256'"):
        attach.read_apart([path])
