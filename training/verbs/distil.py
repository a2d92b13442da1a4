"""``policytag-train distil``: its arguments; the work is in `training.distillation`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import fields
from pathlib import Path

from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    common.add_training(parser)
    add("--text", type=Path, nargs="+", required=True, metavar="FILE", help=".txt(.xz) files or folders of them")
    add("--out", type=Path, required=True, metavar="FOLDER", help="encoder with a head to write, for fit --encoder")
    add("--dev", type=Path, nargs="+", default=[], metavar="FILE", help="annotated paragraphs to measure on")
    add("--work", type=Path, metavar="FOLDER", help="for what a killed run goes on from [OUT-work]")
    add("--save-logits", type=Path, metavar="FILE.jsonl", help="write logits of held-out rows, for fit --out-of-fold")
    add("--save-soft", type=Path, metavar="FILE.jsonl", help="write the teacher's probabilities, as rows for fit")
    add("--hidden", type=int, default=512, metavar="N", help="size of the teacher, a multiple of 64 [%(default)s]")
    add("--layers", type=int, default=12, metavar="N", help="of the teacher [%(default)s]")
    add("--batch-tokens", type=int, default=32_768, metavar="N",
        help="tokens a step of the teacher, half of those of the student's [%(default)s]")  # fmt: skip
    for name, default, what in (
        ("--teacher-passes", 6.0, "of the teacher over the plain text"),
        ("--label-passes", 3.0, "of the teacher over the annotations"),
        ("--student-passes", 8.0, "of the student over the plain text; 0 does without"),
        ("--soft-passes", 40.0, "of the student over the teacher's probabilities"),
    ):
        add(name, type=float, default=default, metavar="N", help=f"passes {what} [%(default)s]")


def run(args: Namespace) -> int:
    from training import config
    from training.distillation.operation import Plan, Request, distil

    request = Request(
        text=tuple(args.text), annotations=tuple(args.annotations), dev=tuple(args.dev), start=args.encoder,
        labels=args.labels, out=args.out, work=args.work or args.out.with_name(f"{args.out.name}-work"),
        save_logits=args.save_logits, save_soft=args.save_soft,
    )  # fmt: skip
    plan = Plan(**{field.name: getattr(args, field.name) for field in fields(Plan)})
    distil(request, plan, config.load(args.config, start=args.encoder, seed=args.seed))
    return 0
