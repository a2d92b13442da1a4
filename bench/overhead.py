"""Processor time a row of ``policytag tag`` beside the bare engine's: a measure that a busy machine does not spoil.

    python -m bench.overhead --rows 10000

Both have one thread. The bare engine is ``Tagger.tag`` on the same rows in lists of the same length; the command's time
holds all its processes, reading and writing included. What a run of few rows takes is taken off from both.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import paragraphs
from policytag.artifact import DEFAULT_MODEL
from policytag.tagger import Tagger
from policytag.text import Paragraph
from serving.tagging.chunks import CHUNK_ITEMS


def main() -> None:
    """Prints both and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--model", type=Path, default=Path(DEFAULT_MODEL))
    arguments = parser.parse_args()
    few = CHUNK_ITEMS
    with tempfile.TemporaryDirectory() as folder:
        source = paragraphs.write(Path(folder) / "in.jsonl", arguments.rows)
        start = paragraphs.write(Path(folder) / "few.jsonl", few)
        rows = arguments.rows - few
        bare = [bare_seconds(source, arguments.model, few) / rows]
        command = (run_seconds(source, arguments.model) - run_seconds(start, arguments.model)) / rows
        bare.append(bare_seconds(source, arguments.model, few) / rows)
    print(f"bare engine {bare[0] * 1e3:.2f} and {bare[1] * 1e3:.2f} ms a row, tag {command * 1e3:.2f} ms a row")
    print(f"rate beside the bare engine's: {sum(bare) / 2 / command:.3f}")


def bare_seconds(source: Path, model: Path, few: int) -> float:
    """Processor seconds of the engine for the rows after the first ``few``."""
    tagger = Tagger.load(model, threads=1)
    with source.open(encoding="utf-8") as file:
        items = [Paragraph(str(n), "d", n, json.loads(line)["text"]) for n, line in enumerate(file)]
    tagger.tag(items[:few])
    started = time.process_time()
    for start in range(few, len(items), CHUNK_ITEMS):
        tagger.tag(items[start : start + CHUNK_ITEMS])
    return time.process_time() - started


def run_seconds(source: Path, model: Path) -> float:
    """Processor seconds of the command on one core, with all its processes."""
    command = ["taskset", "-c", "0", sys.executable, "-m", "serving.cli", "tag", str(source), "--overwrite"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "-o", f"{source}.out", "--model", str(model)], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
