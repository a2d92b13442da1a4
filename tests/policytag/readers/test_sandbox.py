"""Files that would take a process with them: each ends in a reason, and the next file is read."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policytag.errors import InputError
from policytag.readers import Limits, Rejected, Source, find_sources, parse_bytes, parse_file, read_source, sandbox
from policytag.readers.items import MIB
from tests.archives import packed

GOOD = "对企业给予补贴。".encode()


def reason(data: bytes, name: str, limits: Limits | None = None) -> str:
    with pytest.raises(InputError) as caught:
        parse_bytes(data, name, limits=limits)
    assert [p.text for p in parse_bytes(GOOD, "good.txt").document.paragraphs] == ["对企业给予补贴。"]
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message
    return message.removeprefix(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        (
            "a.doc",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
            "convert it with 'soffice --headless --convert-to",
        ),
        ("a.wps", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, ".wps is not read; convert it with"),
        (
            "a.ofd",
            packed({"OFD.xml": b"<x/>"}),
            ".ofd is not read; open it in an OFD reader and save or print it as PDF",
        ),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "encrypted; save it"),
        ("a.docx", b"nothing of the kind", "named .docx, but not in that format; save it anew"),
        ("a.docx", b"", "named .docx, but not in that format (empty file); save it anew"),
        ("a.docx", packed({"word/document.xml": b"<broken"}), "damaged, or not as its format has it ("),
        ("a.pdf", b"%PDF-1.7\nnothing", "not readable as PDF ("),
        ("a.png", b"\x89PNG\r\n\x1a\n", "an image is not read; run text recognition (OCR) over it first"),
        ("a.xlsx", packed({"a.txt": GOOD}), "an archive in the place of a document; unpack it"),
        ("a.dat", GOOD, "file type '.dat' is not read; expected .txt .md"),
        ("a", GOOD, "a file without a suffix is not read; expected .txt .md"),
        ("a.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "damaged, or not as its format has it ("),
        ("a.html", b"<html><body></body></html>", "empty document; expected at least one line of text"),
    ],
)
def test_a_file_that_is_not_read_says_why_and_what_to_do(name: str, data: bytes, words: str) -> None:
    assert reason(data, name).startswith(words) or words in reason(data, name)


def test_content_counts_more_than_the_name() -> None:
    docx = Path("tests/fixtures/formats/000.docx").read_bytes()
    assert parse_bytes(docx, "a.txt").format == "docx"
    assert parse_bytes("<html><p>对企业给予补贴。</p></html>".encode(), "a.doc").format == "html"
    assert parse_bytes(GOOD, "upload", media_type="text/plain; charset=utf-8").format == "txt"


def test_a_document_over_the_size_limit_is_refused() -> None:
    assert reason(GOOD, "a.txt", Limits(file_bytes=10)) == f"{len(GOOD)} bytes; expected at most 10. Split the file"


def test_a_zip_bomb_in_a_word_document_is_refused_before_it_is_unpacked() -> None:
    bomb = packed({"word/document.xml": b"\0" * 5_000_000})
    assert reason(bomb, "a.docx", Limits(unpacked_bytes=MIB)) == (
        f"5000000 bytes unpacked; expected at most {MIB}. Split the file"
    )


def test_entities_that_multiply_are_not_expanded() -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    body = "<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'><w:body>&e9;</w:body></w:document>"
    xml = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "补贴">{entities}]>{body}'
    started = time.monotonic()
    assert reason(packed({"word/document.xml": xml.encode()}), "a.docx")
    assert time.monotonic() - started < 20


def test_a_file_that_takes_too_much_memory_is_rejected() -> None:
    text = ("对企业给予补贴。\n" * 2_000_000).encode()
    words = reason(text, "a.txt", Limits(memory_bytes=200 * MIB))
    assert "needs more than 200 MiB" in words


def test_a_file_that_takes_too_long_is_rejected() -> None:
    text = ("对企业给予补贴。\n" * 1_000_000).encode()
    assert reason(text, "a.txt", Limits(seconds=1)) == "takes more than 1 s to be read; split or simplify the file"


def test_a_process_that_is_killed_while_it_waits_is_replaced() -> None:
    parse_bytes(GOOD, "a.txt")
    with sandbox.borrowed() as process:
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGKILL)
        process._process.wait()
    assert parse_bytes(GOOD, "a.txt").format == "txt"


def test_a_reader_that_goes_away_early_does_not_spoil_the_next_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "text": "补贴"}\n' * 100_000, encoding="utf-8")
    stream = iter(read_source(Source(path), "a"))
    next(stream)
    stream.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert parse_bytes(GOOD, "a.txt").document.paragraphs[0].text == "对企业给予补贴。"


def test_several_threads_read_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        parsed = list(pool.map(lambda i: parse_bytes(f"补贴{i}。".encode(), f"{i}.txt"), range(40)))
    assert [p.document.paragraphs[0].text for p in parsed] == [f"补贴{i}。" for i in range(40)]


def test_an_encrypted_archive_is_refused_member_by_member(tmp_path: Path) -> None:
    data = bytearray(packed({"a.txt": GOOD}))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(magic) + offset] |= 1
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    [source] = find_sources([path])
    [rejected] = read_source(source, "a.zip/a.txt")
    assert isinstance(rejected, Rejected)
    assert str(rejected) == f"{path}/a.txt: encrypted; unpack the archive with its password"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read \\(No such file or directory\\)"):
        parse_file(tmp_path / "a.txt")
