"""Thousands of damaged and hostile files in one run: exactly one fate each, and the run goes on.

``POLICYTAG_MUTATIONS`` sets how many (5,000).
"""

from __future__ import annotations

import json
import os
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from policytag.readers import Item, Reading, ReadOptions, Source, read_source, sandbox
from policytag.readers.items import MIB
from serving.cli import main
from serving.tagging import chunked
from serving.tagging.run import run_folder
from tests.archives import packed

COUNT = int(os.environ.get("POLICYTAG_MUTATIONS", "5000"))
FIXTURES = Path("tests/fixtures/formats")
SUFFIXES = (".txt", ".md", ".html", ".docx", ".pdf", ".csv", ".tsv", ".xlsx", ".jsonl", ".parquet", ".zip")
MAX_SECONDS, MAX_BYTES = 60, 1024 * MIB


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 10, 100, 1000))):
        data[chance.randrange(len(data))] = chance.randrange(256)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


def remove(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 2000)]


def repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.randrange(1, 2000)] * chance.randrange(1, 50)


def blank(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start : start + 500] = bytes([chance.choice((0, 0xFF, 0x20))]) * 500


def digits(data: bytearray, chance: random.Random) -> None:
    """Numbers are lengths, counts and places in many formats."""
    places = [place for place, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    for place in chance.sample(places, min(len(places), 20)):
        data[place] = chance.choice(b"0123456789")


def entity_bomb() -> bytes:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "补贴">{entities}]><x>&e9;</x>'.encode()


def hostile(folder: Path) -> int:
    """Writes what no mutation would come to; gives how many files that is."""
    zeros = bytes(300 * MIB)
    within = bytes(200 * MIB)
    files = {
        "bomb.docx": packed({"word/document.xml": zeros, "word/x.xml": zeros}),
        "bomb.xlsx": packed({"xl/workbook.xml": within}),
        "bomb.zip": packed({"a.txt": within, "b.jsonl": within, "c.csv": within}),
        "bomb-2.zip": packed({"a.txt": zeros, "b.txt": zeros}),
        "nested.zip": packed({"inner.zip": packed({"a.txt": within}), "a.txt": "补贴。".encode()}),
        "entities.docx": packed({"word/document.xml": entity_bomb(), "[Content_Types].xml": entity_bomb()}),
        "entities.xlsx": packed({"xl/workbook.xml": entity_bomb(), "[Content_Types].xml": entity_bomb()}),
        "deep.html": b"<div>" * 200_000 + "补贴。".encode(),
        "deep.md": b"> " * 100_000 + "补贴。".encode(),
        "deep.jsonl": b"[" * 1_000_000,
        "wide.csv": b"text," * 500_000 + b"\nx",
        "quote.csv": b'text\n"' + "补贴\n".encode() * 100_000,
        "long.txt": "补".encode() * (10 * MIB),
        "empty.txt": b"",
        "encrypted.pdf": (FIXTURES / "encrypted.pdf").read_bytes(),
        "scanned.pdf": (FIXTURES / "scanned.pdf").read_bytes(),
        "word.pdf": (FIXTURES / "000.docx").read_bytes(),
        "page.docx": (FIXTURES / "000.html").read_bytes(),
        "text.xlsx": "补贴。".encode(),
        "archive.docx": (FIXTURES / "000.zip").read_bytes(),
        "line\nbreak.txt": "补贴。".encode(),
        "😀" * 50 + ".txt": "补贴。".encode(),
        os.fsdecode(b"\xff\xfe.txt"): "补贴。".encode(),
        "-o.txt": "补贴。".encode(),
        " .txt ": "补贴。".encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "fifo.txt")
    (folder / "loop.pdf").symlink_to("loop.pdf")
    (folder / "gone.docx").symlink_to("nowhere")
    (folder / "circle").symlink_to(folder)
    return len(files) + 3


def mutated(folder: Path, count: int) -> None:
    """Writes ``count`` damaged copies of the fixtures, a tenth of them under another format's name."""
    chance = random.Random(5)
    changes = (flip, flip, cut, remove, repeat, blank, digits)
    seeds = [path for suffix in SUFFIXES for path in sorted(FIXTURES.glob(f"00*{suffix}"))]
    for number in range(count):
        seed = seeds[number % len(seeds)]
        data = bytearray(seed.read_bytes())
        for _ in range(chance.choice((1, 1, 2))):
            chance.choice(changes)(data, chance)
            data = data or bytearray(b"x")
        suffix = chance.choice(SUFFIXES) if chance.random() < 0.1 else seed.suffix
        (folder / f"{number:05}{suffix}").write_bytes(data)


@pytest.mark.slow
def test_every_damaged_or_hostile_file_has_one_fate_and_none_takes_the_run_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    special = hostile(folder)
    mutated(folder, COUNT - special)
    seconds: dict[str, float] = {}

    class Timed:
        def __init__(self, reading: Reading) -> None:
            self._reading = reading

        def __getattr__(self, name: str) -> object:
            return getattr(self._reading, name)

        def __iter__(self) -> Iterator[Item]:
            started, spent = time.monotonic(), 0.0
            for item in self._reading:
                spent += time.monotonic() - started
                yield item
                started = time.monotonic()
            seconds[str(self._reading.source)] = spent + time.monotonic() - started

    def timed(source: Source, doc: str, options: ReadOptions) -> Timed:
        return Timed(read_source(source, doc, options))

    monkeypatch.setattr(chunked, "read_source", timed)
    assert main(["tag", str(folder), "-o", str(out), "--no-text"]) == 3
    sandbox.close_all()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024

    state = run_folder(str(out))
    files = [json.loads(line) for line in (state / "files.jsonl").open("rb")]
    listed = [json.loads(line) for line in (state / "inputs.jsonl").open("rb")]
    counts = json.loads((state / "manifest.json").read_text())["counts"]
    assert [entry["path"] for entry in files] == [entry["path"] for entry in listed]
    assert len({entry["path"].split(".zip/")[0] for entry in files}) == COUNT
    assert all(entry["items"] >= 1 for entry in files)
    assert not [row for row in map(json.loads, (state / "rejected.jsonl").open("rb")) if "\n" in row["error"]]
    assert sum(entry["items"] for entry in files) == sum(counts.values()) == sum(1 for _ in out.open("rb"))
    slowest = max(seconds, key=seconds.__getitem__)
    refused = sum(entry["format"] is None or entry["items"] == entry["rejected"] for entry in files)
    print(
        f"{COUNT} files, {len(files)} with archive members: {refused} refused, {len(files) - refused} read; "
        f"rows {counts}; "
        f"slowest {Path(slowest).name} {seconds[slowest]:.1f} s; largest process {peak / MIB:.0f} MiB"
    )
    assert seconds[slowest] <= MAX_SECONDS
    assert peak <= MAX_BYTES
