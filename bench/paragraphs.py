"""Input for measurements: the authored paragraphs, repeated with changed ids until there are enough. Knows no model."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

AUTHORED = Path("labels/annotations/authored.jsonl")


def write(path: Path, count: int) -> Path:
    """Writes ``count`` rows ``{"id": "0-…", "text": …}``."""
    with AUTHORED.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with path.open("w", encoding="utf-8") as out:
        for number, row in zip(range(count), itertools.cycle(rows), strict=False):
            line = {"id": f"{number // len(rows)}-{row['id']}", "text": row["text"]}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path
