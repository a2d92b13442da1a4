import json
from pathlib import Path

import pytest

from policytag import readers
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
    items = read(path)
    assert messages(path) == [f"{path}:2: {reason}"]
    assert [item.id for item in items if isinstance(item, Paragraph)] == ["x", "5"]


def test_a_duplicate_id_is_rejected_with_the_place_of_the_first(tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", {"id": "x", "text": "补贴"})
    two = write(tmp_path / "b.jsonl", {"id": "y", "text": "甲"}, {"id": "x", "text": "人才"})
    assert messages(one, two) == [f"{two}:2: duplicate id 'x', first at {one}:1; rename one"]


def test_a_jsonl_file_without_rows_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "", " ")
    assert messages(path) == [f"{path}: empty file; expected one JSON object with 'id' and 'text' a line"]


def test_a_jsonl_file_whose_only_row_is_bad_gets_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": "a"})
    assert messages(path) == [f"{path}:1: 'text' is missing; expected a string"]


def test_a_line_too_long_is_rejected_without_being_held_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 40)
    path = write(tmp_path / "a.jsonl", {"id": "a", "text": "补" * 100}, {"id": "b", "text": "补"})
    assert messages(path) == [f"{path}:1: over 40 bytes; expected one paragraph a line"]
    assert [item.id for item in read(path) if isinstance(item, Paragraph)] == ["b"]


def test_byte_order_marks_and_windows_line_ends_do_not_matter_in_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('\ufeff{"id": "a", "text": "补"}\r\n\r\n\ufeff{"id": "b", "text": "贴"}'.encode())
    assert [item.id for item in read(path) if isinstance(item, Paragraph)] == ["a", "b"]
    assert messages(path) == []


def test_a_rejected_item_carries_the_name_of_its_document(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    one = write(tmp_path / "x" / "a.jsonl", {"id": "a"})
    two = write(tmp_path / "y" / "a.jsonl", {"id": "b", "text": "补"}, {"id": "b", "text": "补"})
    three = write(tmp_path / "b.txt", "")
    assert [item.doc for item in read(one, two, three) if isinstance(item, Rejected)] == [
        "x/a.jsonl",
        "y/a.jsonl",
        "b.txt",
    ]


def test_an_unread_file_type_is_refused_with_those_that_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.docx", "x")
    assert messages(path) == [f"{path}: file type '.docx' is not read; expected .txt or .jsonl"]


def test_a_folder_is_read_recursively_in_name_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.TXT", "sub/c.jsonl", "ignored.pdf"):
        write(tmp_path / name, "x")
    assert [path.name for path in find_files([tmp_path])] == ["a.TXT", "b.txt", "c.jsonl"]


def test_a_file_named_in_two_ways_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.txt", "补")
    (tmp_path / "b.txt").symlink_to("a.txt")
    assert find_files([Path("a.txt"), tmp_path, Path("../") / tmp_path.name / "a.txt"]) == [Path("a.txt")]


def test_a_folder_named_like_a_file_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "x.txt"
    folder.mkdir()
    write(folder / "a.txt", "补")
    assert find_files([folder]) == find_files([tmp_path]) == [folder / "a.txt"]


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
