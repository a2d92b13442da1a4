"""``policytag-train leave-one-out``: its arguments; the work is in `training.leave_one_out`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    common.add_training(parser)
    add = parser.add_argument
    add("--test", type=Path, nargs="+", required=True, metavar="FILE",
        help="annotated documents; each is tagged by a model trained on --annotations and the others")  # fmt: skip
    add("--report", type=Path, metavar="FILE.json", help="write figures and wrong tags here")
    add("--write", type=Path, metavar="FILE.md", help="write figures and wrong tags as a page")


def run(args: Namespace) -> int:
    from training import config, leave_one_out, report

    settings = config.load(args.config, start=args.encoder, seed=args.seed)
    result = leave_one_out.run(args.annotations, args.test, args.encoder, args.labels, settings)
    if args.report:
        report.write(result, args.report)
    if args.write:
        args.write.parent.mkdir(parents=True, exist_ok=True)
        args.write.write_text(leave_one_out.page(result), encoding="utf-8")
    print(leave_one_out.render(result), end="")
    return 0
