"""Many paragraphs through ``policytag tag``: peak memory while it runs, and its rate beside the bare engine's.

    python -m bench.million --rows 1000000 --workers 2

The bare engine is ``Tagger.tag`` on the same paragraphs in lists of the same length, without reading, writing or JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from bench import paragraphs
from policytag.artifact import DEFAULT_MODEL
from policytag.tagger import Tagger
from policytag.text import Paragraph
from serving.tagging.chunks import CHUNK_ITEMS

MIB = 1024 * 1024


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--bare-rows", type=int, default=5_000, help="rows that the bare engine is measured on")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--model", type=Path, default=Path(DEFAULT_MODEL))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = paragraphs.write(Path(folder) / "in.jsonl", arguments.rows)
        before = bare_rate(source, arguments)
        rate, curve = run(source, Path(folder) / "out.jsonl", arguments)
        after = bare_rate(source, arguments)
    bare = (before + after) / 2
    print(f"bare engine {before:.1f} and {after:.1f} rows/s; tag --workers {arguments.workers}: {rate:.1f} rows/s")
    print(f"ratio {rate / bare:.3f}")
    tenths = [max(part) for part in split(curve, 10)]
    print("peak memory of all processes by tenth of the run, MiB:", " ".join(f"{size / MIB:.0f}" for size in tenths))


def bare_rate(source: Path, arguments: argparse.Namespace) -> float:
    """Rows a second of `Tagger.tag` with one thread a worker."""
    tagger = Tagger.load(arguments.model, threads=0 if arguments.workers == 1 else 1)
    with source.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in itertools.islice(file, arguments.bare_rows)]
    items = [Paragraph(row["id"], "d", number, row["text"]) for number, row in enumerate(rows)]
    tagger.tag(items[:64])
    started = time.monotonic()
    for start in range(0, len(items), CHUNK_ITEMS):
        tagger.tag(items[start : start + CHUNK_ITEMS])
    return len(items) / (time.monotonic() - started)


def run(source: Path, out: Path, arguments: argparse.Namespace) -> tuple[float, list[int]]:
    """Rows a second of the command, its start included, and its memory over time, bytes."""
    command = [sys.executable, "-m", "serving.cli", "tag", str(source), "-o", str(out)]
    command += ["--workers", str(arguments.workers), "--model", str(arguments.model)]
    curve: list[int] = []
    started = time.monotonic()
    process = subprocess.Popen(command)
    watcher = threading.Thread(target=watch, args=(psutil.Process(process.pid), curve), daemon=True)
    watcher.start()
    assert process.wait() == 0
    seconds = time.monotonic() - started
    with out.open("rb") as file:
        assert sum(1 for _ in file) == arguments.rows
    return arguments.rows / seconds, curve


def watch(process: psutil.Process, curve: list[int]) -> None:
    """Notes the resident memory of a process and its children twice a second."""
    while True:
        try:
            family = [process, *process.children(recursive=True)]
            curve.append(sum(member.memory_info().rss for member in family))
        except psutil.NoSuchProcess:
            return
        time.sleep(0.5)


def split(values: list[int], parts: int) -> list[list[int]]:
    size = max(1, len(values) // parts)
    return [values[start : start + size] for start in range(0, len(values), size)]


if __name__ == "__main__":
    main()
