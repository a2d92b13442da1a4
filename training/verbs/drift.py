"""``policytag-train drift``: its arguments; the work is in `training.drift`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

MOVED = 3


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("tags", type=Path, metavar="TAGS.jsonl", help="what 'policytag tag --scores' wrote")
    add(
        "--model",
        type=Path,
        default=Path("models/current"),
        metavar="MODEL",
        help="the model that tagged [%(default)s]",
    )
    add("--reference", type=Path, metavar="TAGS.jsonl",
        help="another run of that model to compare with (default: what it was calibrated on)")  # fmt: skip
    add("--report", type=Path, metavar="FILE.json", help="write the figures here")
    add("--fail-on-drift", action="store_true", help="exit code 3 if a label has moved, for a scheduler")


def run(args: Namespace) -> int:
    from training import drift, report

    reference = drift.of_run(args.reference, args.model) if args.reference else drift.of_model(args.model)
    found = drift.compare(drift.of_run(args.tags, args.model), reference)
    if args.report:
        report.write(found, args.report)
    print(drift.render(found), end="")
    moved = any(figures["psi"] >= drift.ACT for figures in found["labels"].values())
    return MOVED if moved and args.fail_on_drift else 0
