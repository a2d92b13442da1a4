"""Rows a second of one and of two workers, local or on a Ray cluster on this machine.

    python -m bench.scaling --rows 4000
    python -m bench.scaling --rows 4000 --engine ray

Every worker has one thread. The time that a run of few rows takes is taken off, so that the start does not count.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import paragraphs
from policytag.artifact import DEFAULT_MODEL

FILES = 8
"""Ray spreads files, so the rows are in several."""


def main() -> None:
    """Prints the two rates and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    few = arguments.rows // 8
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        for workers in (1, 2):
            times = [timed(Path(folder), rows, workers, arguments) for rows in (few, arguments.rows)]
            rates.append((arguments.rows - few) / (times[1] - times[0]))
            print(f"{arguments.engine}, {workers} worker(s): {rates[-1]:.1f} rows/s", flush=True)
    print(f"1 -> 2 workers: {rates[1] / rates[0]:.2f}")


def timed(folder: Path, rows: int, workers: int, arguments: argparse.Namespace) -> float:
    """Seconds of a run, its start included."""
    source, out = folder / "in", folder / "out.parquet"
    for old in (source, out):
        if old.is_dir():
            shutil.rmtree(old)
        old.unlink(missing_ok=True)
    source.mkdir()
    paragraphs.write(source / "all.jsonl", rows)
    lines = (source / "all.jsonl").read_bytes().splitlines(keepends=True)
    (source / "all.jsonl").unlink()
    for number in range(FILES):
        (source / f"{number}.jsonl").write_bytes(b"".join(lines[number::FILES]))
    command = [sys.executable, "-m", "serving.cli", "tag", str(source), "-o", str(out), "--model", arguments.model]
    if arguments.engine == "ray":
        command += ["--engine", "ray", "--actors", str(workers)]
    elif workers == 1:
        command = ["taskset", "-c", "0", *command]  # one worker of the same kind: one thread
    else:
        command += ["--workers", str(workers)]
    started = time.monotonic()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
