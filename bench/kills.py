"""Kills a run at random moments and takes it up again, until it has died often enough; then compares the bytes.

    python -m bench.kills --rows 20000 --kills 100

Each start is killed at a random moment: one in five while it starts, the others while it tags. A run that finishes
before the kills are used up is followed by another.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import paragraphs
from policytag.artifact import DEFAULT_MODEL
from serving.tagging.run import run_folder


def main() -> int:
    """Prints what was killed and whether anything was lost; 0 if nothing was."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--longest", type=float, default=8.0, help="seconds that a start tags at most")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), arguments)


def measure(folder: Path, arguments: argparse.Namespace) -> int:
    source = paragraphs.write(folder / "in.jsonl", arguments.rows)
    whole, out = folder / "whole.jsonl", folder / "out.jsonl"
    command = [sys.executable, "-m", "serving.cli", "tag", str(source), "--model", arguments.model, "-o"]
    started = time.monotonic()
    subprocess.run([*command, str(whole)], check=True, stderr=subprocess.DEVNULL)
    print(f"uninterrupted: {time.monotonic() - started:.0f} s", flush=True)
    wanted, chance = digest(whole), random.Random(arguments.seed)
    killed = runs = wrong = working = 0
    while killed < arguments.kills or not out.exists():
        process = subprocess.Popen([*command, str(out), "--resume"], stderr=subprocess.DEVNULL)
        if killed < arguments.kills and not finishes(process, out, chance, arguments.longest):
            killed += 1
            working += rows_so_far(out) > 0
            continue
        assert process.wait() == 0, f"exit code {process.returncode}"
        runs += 1
        wrong += digest(out) != wanted
        if killed < arguments.kills:
            out.unlink()
            shutil.rmtree(run_folder(str(out)))
    ids = [json.loads(line)["id"] for line in out.open("rb")]
    lost, doubled = arguments.rows - len(set(ids)), len(ids) - len(set(ids))
    print(
        f"{killed} SIGKILLs ({working} after rows were committed) in {runs} runs of {arguments.rows} rows: "
        f"{lost} lost, {doubled} doubled, {wrong} of {runs} outputs differ"
    )
    return int(bool(lost or doubled or wrong))


def finishes(process: subprocess.Popen[bytes], out: Path, chance: random.Random, longest: float) -> bool:
    """Kills a run at a random moment; whether it was finished before."""
    if chance.random() < 0.2:
        life = chance.uniform(0, 3)
    else:
        lock = run_folder(str(out)) / "lock"
        while process.poll() is None and not (lock.exists() and lock.read_text() == str(process.pid)):
            time.sleep(0.01)
        life = chance.uniform(0, longest)
    try:
        return process.wait(life) == 0
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return False


def rows_so_far(out: Path) -> int:
    progress = run_folder(str(out)) / "progress.json"
    return json.loads(progress.read_text())["rows_bytes"] if progress.exists() else 0


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
