import json
from pathlib import Path

import pytest

from policytag.errors import InputError
from policytag.readers import Rejected, decode, document_names, find_files, read_paragraphs
from policytag.text import Paragraph


def read(*files: Path) -> list[Paragraph | Rejected]:
    return list(read_paragraphs(files))


def messages(*files: Path) -> list[str]:
    return [str(item) for item in read(*files) if isinstance(item, Rejected)]


def write(path: Path, *rows: object) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_text_in_each_known_encoding_reads_the_same(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("一、总体要求\n对企业给予补贴。".encode(encoding))
    assert [item.text for item in read(path) if isinstance(item, Paragraph)] == ["一、总体要求", "对企业给予补贴。"]


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(range(256)) * 8)
    assert messages(path) == [f"{path}: unknown encoding; expected UTF-8, UTF-16 with BOM or GB18030. Save it as UTF-8"]


def test_an_ascii_text_is_text() -> None:
    assert decode(b"hello", "x") == "hello"


def test_an_empty_document_is_rejected_and_its_neighbours_are_read(tmp_path: Path) -> None:
    empty = write(tmp_path / "a.txt", " \n ")
    good = write(tmp_path / "b.txt", "补贴。")
    items = read(empty, good)
    assert str(items[0]) == f"{empty}: empty document; expected at least one line of text"
    assert isinstance(items[1], Paragraph)


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
        ("[" * 100_000, "not JSON (nested too deep); expected one object a line"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_reason_and_good_rows_are_read(
    tmp_path: Path, row: object, reason: str
) -> None:
    path = write(tmp_path / "a.jsonl", {"id": "x", "text": "补贴"}, row, {"id": 5, "text": "人才"})
    items = read(path)
    assert messages(path) == [f"{path}:2: {reason}"]
    assert [item.id for item in items if isinstance(item, Paragraph)] == ["x", "5"]


def test_a_duplicate_id_is_rejected_with_the_place_of_the_first(tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", {"id": "x", "text": "补贴"})
    two = write(tmp_path / "b.jsonl", {"id": "y", "text": "甲"}, {"id": "x", "text": "人才"})
    assert messages(one, two) == [f"{two}:2: duplicate id 'x', first at {one}:1; rename one"]


def test_a_jsonl_file_without_a_good_row_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "")
    assert messages(path) == [
        f"{path}: no row that can be tagged; expected one JSON object with 'id' and 'text' a line"
    ]


def test_an_unread_file_type_is_refused_with_those_that_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.docx", "x")
    assert messages(path) == [f"{path}: file type '.docx' is not read; expected .txt or .jsonl"]


def test_a_folder_is_read_recursively_in_name_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.TXT", "sub/c.jsonl", "ignored.pdf"):
        write(tmp_path / name, "x")
    assert [path.name for path in find_files([tmp_path])] == ["a.TXT", "b.txt", "c.jsonl"]


def test_a_missing_input_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        find_files([tmp_path / "nowhere"])
    with pytest.raises(InputError, match=r"no \.txt or \.jsonl file in this folder"):
        find_files([tmp_path])


def test_namesakes_are_told_apart_by_their_folders() -> None:
    files = [Path("r/a/x.txt"), Path("r/b/x.txt"), Path("r/y.txt")]
    assert document_names(files) == ["a/x.txt", "b/x.txt", "y.txt"]


def test_a_jsonl_row_keeps_its_document_and_headings(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": "x", "doc": "d", "text": "补", "headings": ["一、甲"]})
    [item] = read(path)
    assert item == Paragraph("x", "d", 0, "补", ("一、甲",))
