"""``policytag-train promote``: its arguments; the work is in `training.promote`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from training.verbs import common

FROZEN_TEST = Path("labels/annotations/seed_corpus.jsonl")


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("candidate", type=Path, metavar="MODEL", help="model folder to promote")
    common.add_models(parser)
    add("--reason", required=True, metavar="TEXT", help="why; goes into the history")
    add("--test", type=Path, nargs="+", default=[FROZEN_TEST], metavar="FILE",
        help=f"the frozen test: annotated paragraphs that no model learns from [{FROZEN_TEST}]")  # fmt: skip
    add("--gates", type=Path, metavar="FILE.toml", help="limits to change (all of them: training/gates.py)")
    add("--force", action="store_true", help="promote though a gate failed; the history says so")


def run(args: Namespace) -> int:
    from training import gates, promote
    from training.versions import Versions

    limits = gates.load_limits(args.gates)
    entry, results = promote.promote(
        args.candidate, Versions(args.models), args.test, args.reason, limits, force=args.force
    )
    for gate in results:
        print(f"{'passed' if gate.passed else 'FAILED':<8}{gate.name:<14}{gate.detail}")
    print(f"{args.models / 'current'}: version {entry.version}, before {entry.previous or 'none'}")
    return 0
