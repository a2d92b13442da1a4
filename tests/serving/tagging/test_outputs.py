"""What ``policytag tag`` writes beside JSON lines: tables of paragraphs and of documents, each read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest

from policytag.taxonomy import Taxonomy
from serving.cli import main
from serving.tagging import documents, tables


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    texts = ["=1+1 补贴", "软件企业补贴,\n引进人才。", "无", "x" * 40_000]
    rows = [
        {"id": f"r{i}", "doc": f"d{i % 2}", "text": text, "headings": ["一、甲", "(一)乙"]}
        for i, text in enumerate(texts)
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n", encoding="utf-8")
    return path


def tagged(source: Path, name: str, *options: str) -> Path:
    out = source.parent / name
    assert main(["tag", str(source), "-o", str(out), *options]) == 3
    return out


def table_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    rows = list(openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True))
    return [dict(zip(map(str, rows[0]), row, strict=True)) for row in rows[1:]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".xlsx"])
def test_a_table_has_a_row_for_every_item_with_its_tags(source: Path, suffix: str) -> None:
    rows = table_of(tagged(source, f"out{suffix}"))
    assert [row["id"] or None for row in rows] == ["r0", "r1", "r2", "r3", None]
    assert rows[1]["instruments"] == "talent=0.9569;subsidy=0.9526"
    assert rows[1]["instruments_names"] == "人才引进;资金补贴"
    assert rows[1]["industries"] == "information_technology=0.9734"
    assert rows[1]["headings"] == "一、甲 > (一)乙"
    assert (rows[4]["status"], str(rows[4]["line"])) == ("rejected", "5")
    assert rows[4]["error"].startswith("not JSON")


def test_a_text_is_no_formula(source: Path) -> None:
    assert table_of(tagged(source, "out.csv"))[0]["text"] == "'=1+1 补贴"
    cell = openpyxl.load_workbook(tagged(source, "out.xlsx")).worksheets[0]["F2"]
    assert (cell.value, cell.data_type) == ("=1+1 补贴", "s")
    assert table_of(tagged(source, "out.parquet"))[0]["text"] == "=1+1 补贴"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_run_is_quoted(text: str) -> None:
    assert tables.safe(text) == f"'{text}"
    assert tables.safe("——坚持创新") == "——坚持创新"
    assert tables.safe(-1) == -1


def test_a_byte_order_mark_comes_on_request(source: Path) -> None:
    assert not tagged(source, "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert tagged(source, "out.csv", "--bom").read_bytes().startswith(b"\xef\xbb\xbfid,doc,")


def test_a_cell_too_long_for_a_workbook_is_cut_with_a_mark(source: Path) -> None:
    text = table_of(tagged(source, "out.xlsx"))[3]["text"]
    assert len(text) == tables.MAX_CELL_CHARS
    assert text.endswith("…")


def test_more_rows_than_a_sheet_holds_go_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_SHEET_ROWS", 3)
    with (tmp_path / "a.xlsx").open("wb") as file:
        tables.write("xlsx", file, ["n"], ({"n": n} for n in range(5)))
    sheets = openpyxl.load_workbook(tmp_path / "a.xlsx").worksheets
    assert [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in sheets] == [
        ["n", 0, 1],
        ["n", 2, 3],
        ["n", 4],
    ]


def test_scores_are_columns_of_a_table(source: Path) -> None:
    rows = table_of(tagged(source, "out.parquet", "--scores", "--no-text"))
    assert "text" not in rows[0]
    assert (rows[0]["score_subsidy"], rows[2]["score_platform"]) == (0.9526, 0.018)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".xlsx", ".jsonl"])
def test_the_table_by_document_gives_the_share_of_text_a_tag(source: Path, suffix: str) -> None:
    path = source.parent / f"docs{suffix}"
    tagged(source, "out.jsonl", "--summary-file", str(path))
    rows = [json.loads(line) for line in path.read_text().splitlines()] if suffix == ".jsonl" else table_of(path)
    assert [row["doc"] for row in rows] == ["d0", "d1", "in.jsonl"]
    assert [int(row["paragraphs"]) for row in rows] == [2, 2, 0]
    assert float(rows[0]["share_subsidy"]) == pytest.approx(7 / 8, abs=1e-4)
    assert int(rows[2]["rejected"]) == 1


def test_documents_whose_rows_do_not_stand_together_are_one_record(tiny_model: Path) -> None:
    taxonomy = Taxonomy.from_dict(json.loads((tiny_model / "taxonomy.json").read_text(encoding="utf-8")))
    tag = {"id": "subsidy", "name": "资金补贴", "score": 0.9}
    rows = [
        {"doc": doc, "status": "ok", "text": "补" * 10, "instruments": tags, "industries": [], "truncated": False}
        for doc, tags in (("a", [tag]), ("b", []), ("a", []), ("b", [tag]), ("a", [tag]))
    ]
    found = {record["doc"]: record for record in documents.by_document(rows, taxonomy)}
    assert found["a"]["paragraphs"] == 3
    assert found["a"]["share_subsidy"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["b"]["share_subsidy"] == 0.5
