import json
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from policytag.errors import InputError
from policytag.readers import ReadOptions, Rejected, Row, Source, parse_file, read_source
from policytag.readers import rows as rows_module
from policytag.readers.rows import read_jsonl
from policytag.text import Paragraph


def read(path: Path, **options: str) -> list[Row | Rejected]:
    items = list(read_source(Source(path), path.name, ReadOptions(**options)))
    assert all(isinstance(item, Row | Rejected) for item in items)
    return items  # pyright: ignore[reportReturnType]


def texts(path: Path, **options: str) -> list[str]:
    return [item.paragraph.text for item in read(path, **options) if isinstance(item, Row)]


def ids(path: Path, **options: str) -> list[str]:
    return [item.paragraph.id for item in read(path, **options) if isinstance(item, Row)]


def messages(path: Path, **options: str) -> list[str]:
    return [str(item) for item in read(path, **options) if isinstance(item, Rejected)]


def write(path: Path, *rows: object) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"id": "a"', "not JSON (column 11: Expecting ',' delimiter); expected one object a line"),
        ("[1]", "a JSON list; expected an object with 'id' and 'text'"),
        ({"id": "a"}, "'text' is missing; expected a string"),
        ({"id": "a", "text": 3}, "'text' is int; expected a string"),
        ({"text": "补"}, "'id' is null; expected a non-empty string or a whole number"),
        ({"id": True, "text": "补"}, "'id' is true; expected a non-empty string or a whole number"),
        ({"id": "a", "text": " "}, "'text' is blank; expected at least one readable character"),
        ({"id": "a", "text": "补", "headings": "x"}, "'headings' is not a list of strings; leave it out or mend it"),
        ({"id": [1] * 100, "text": "补"}, f"'id' is [{'1, ' * 19}1,…; expected a non-empty string or a whole number"),
        ({"id": "a", "text": "补", "doc": None}, "'doc' is null; leave it out or mend it"),
        ({"id": "a", "text": "补", "doc": ["x"]}, "'doc' is [\"x\"]; leave it out or mend it"),
        ("[" * 100_000, "not JSON (nested too deep); expected one object a line"),
        ('{"id": ' + "1" * 5000 + "}", "not JSON (a number of too many digits); expected one object a line"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_reason_and_good_rows_are_read(
    tmp_path: Path, row: object, reason: str
) -> None:
    path = write(tmp_path / "a.jsonl", {"id": "x", "text": "补贴"}, row, {"id": 5, "text": "人才"})
    assert messages(path) == [f"{path}:2: {reason}"]
    assert ids(path) == ["x", "5"]


def test_a_jsonl_file_without_rows_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "", " ")
    assert messages(path) == [f"{path}: empty file; expected one JSON object with 'id' and 'text' a line"]


def test_a_jsonl_file_whose_only_row_is_bad_gets_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": "a"})
    assert messages(path) == [f"{path}:1: 'text' is missing; expected a string"]


def test_a_line_too_long_is_rejected_without_being_held_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "MAX_LINE_BYTES", 40)
    path = write(tmp_path / "a.jsonl", {"id": "a", "text": "补" * 100}, {"id": "b", "text": "补"})
    with path.open("rb") as file:
        long, short = read_jsonl(file, "a.jsonl", "a.jsonl", ReadOptions())
    assert str(long) == "a.jsonl:1: over 40 bytes; expected one paragraph a line"
    assert isinstance(short, Row)


def test_byte_order_marks_and_windows_line_ends_do_not_matter_in_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('\ufeff{"id": "a", "text": "补"}\r\n\r\n\ufeff{"id": "b", "text": "贴"}'.encode())
    assert ids(path) == ["a", "b"]
    assert messages(path) == []


def test_a_jsonl_row_keeps_its_document_and_headings(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": "x", "doc": "d", "text": "补", "headings": ["一、甲"]})
    assert read(path) == [Row(Paragraph("x", "d", 0, "补", ("一、甲",)), 1, own_id=True)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "big5"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_of_text_is_read_in_each_encoding_and_with_each_delimiter(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    path = tmp_path / "a.csv"
    rows = [("編號", "正文"), ("1", "對企業給予補貼,引進人才。"), ("2", "支持創新創業,\n優化服務。")]
    lines = [delimiter.join(f'"{cell}"' for cell in row) for row in rows]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    assert texts(path) == ["對企業給予補貼,引進人才。", "支持創新創業,\n優化服務。"]
    assert ids(path, id_column="編號") == ["1", "2"]


def test_a_row_without_an_id_column_gets_the_files_name_and_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tyear\n补贴\t2020\n人才\t2021\n", encoding="utf-8")
    assert ids(path) == ["a.tsv#0", "a.tsv#1"]
    assert not any(item.own_id for item in read(path) if isinstance(item, Row))


def test_the_text_column_can_be_chosen_and_the_error_names_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "标题,说明", "甲,补贴")
    assert texts(path, text_column="说明") == ["补贴"]
    [message] = messages(path)
    assert message == f"{path}: no column 'text' or 'content'; columns: 标题, 说明. Choose one with --text-column"
    [message] = messages(path, text_column="x")
    assert message == f"{path}: no column 'x'; columns: 标题, 说明. Choose one with --text-column"


def test_a_row_with_bytes_that_do_not_decode_is_rejected_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = "text\n" + "对新认定的企业技术中心给予一次性奖励\n" * 10_000
    path.write_bytes(good.encode() + b"\xff\xfe\n" + "补贴\n".encode())
    items = read(path)
    assert [item.line for item in items if isinstance(item, Rejected)] == [10_002]
    assert len(items) == 10_002


def test_the_sheets_of_a_workbook_are_read_in_order_and_one_without_the_column_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in {
        "甲": [["id", "text"], [1, "补贴"], [None, None], [2.0, 3.5]],
        "空": [],
        "乙": [["x"], ["人才"]],
        "丙": [["text"], ["招商"]],
    }.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    path = tmp_path / "a.xlsx"
    book.save(path)
    assert texts(path) == ["补贴", "3.5", "招商"]
    assert ids(path) == ["1", "2", "a.xlsx#2"]
    assert messages(path) == [
        f"{path}:1: sheet '乙': no column 'text' or 'content'; columns: x. Choose one with --text-column"
    ]


def test_a_parquet_file_is_read_with_its_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "id": [f"r{i}" for i in range(2000)],
            "content": ["补贴"] * 1999 + [None],
            "headings": [["一、甲"]] * 2000,
            "unused": [0] * 2000,
        }
    )
    pq.write_table(table, path)
    items = read(path)
    assert items[0] == Row(Paragraph("r0", "a.parquet", 0, "补贴", ("一、甲",)), 1, own_id=True)
    assert messages(path) == [f"{path}:2000: 'content' is missing; expected a string"]
    assert len(items) == 2000


def test_a_whole_table_comes_with_the_rows_that_were_rejected(tmp_path: Path) -> None:
    parsed = parse_file(write(tmp_path / "a.jsonl", {"id": "x", "text": "补贴"}, {"id": "y"}))
    assert [paragraph.id for paragraph in parsed.document.paragraphs] == ["x"]
    assert [rejected.line for rejected in parsed.rejected] == [2]


def test_a_table_of_column_names_alone_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,text")
    assert messages(path) == [f"{path}: no row; expected at least one below the column names"]


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "")
    with pytest.raises(InputError, match=r"a\.csv: empty table; expected column names in its first line"):
        parse_file(path)
