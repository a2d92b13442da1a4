"""``python -m bench.losses``: the losses of trainings as one picture, from their logs.

A log is what ``policytag-train pretrain`` writes (JSON lines) or what ``fit`` says on stderr (``step 150 of 3019, loss
0.0787``). Of the former the training's and the validation's masked-language loss are drawn, of the latter the loss.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

Curve = list[tuple[float, float]]

SAID = re.compile(r"step (\d+) of \d+, loss ([\d.]+)")
MASKED, HELD_OUT = "train_mlm", "validation_mlm"


def curves(log: Path) -> dict[str, Curve]:
    """Points (step, loss) of each kind of loss in a log; a kind without any is left out."""
    text = log.read_text(encoding="utf-8")
    if log.suffix == ".jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
        found = {kind: [(row["step"], row[kind]) for row in rows if kind in row] for kind in (MASKED, HELD_OUT)}
    else:
        found = {"loss": [(float(step), float(loss)) for step, loss in SAID.findall(text)]}
    return {kind: points for kind, points in found.items() if points}


def main() -> None:
    """Draws every log in a field of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.losses", description=__doc__)
    parser.add_argument("logs", nargs="+", metavar="TITLE=FILE")
    parser.add_argument("--out", type=Path, default=Path("models/losses.svg"))
    args = parser.parse_args()
    from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports]  # the bench extra

    figure = Figure(figsize=(3.2 * len(args.logs), 2.8), layout="constrained")
    for axes, entry in zip(figure.subplots(1, len(args.logs), squeeze=False)[0], args.logs, strict=True):
        title, _, file = entry.partition("=")
        for kind, points in curves(Path(file)).items():
            axes.plot(*zip(*points, strict=True), "o-", markersize=2, label=kind)
        axes.set(title=title, xlabel="step")
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(args.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
