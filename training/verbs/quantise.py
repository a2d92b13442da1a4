"""``policytag-train quantise``: its arguments; the work is in `training.reexport`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="FOLDER", help="a model folder")
    add("--calibrate-on", type=Path, nargs="+", required=True, metavar="FILE",
        help="annotated paragraphs that the 8-bit form's activation ranges are measured on")  # fmt: skip
    add("--check-on", type=Path, nargs="+", default=[], metavar="FILE",
        help="annotated paragraphs that the 8-bit form must be as good on as float32 (default: --calibrate-on; "
        "better: ones the model did not learn from)")  # fmt: skip
    add("--out", type=Path, required=True, metavar="FOLDER", help="model folder to write; may be --model itself")


def run(args: Namespace) -> int:
    from training import reexport

    comparison = reexport.reexport(args.model, args.calibrate_on, args.check_on or args.calibrate_on, args.out)
    print(
        f"{args.out}: int8 against fp32 on {comparison.paragraphs} paragraphs: macro-F1 {-comparison.f1_loss:+.4f}, "
        f"{comparison.equal:.2%} of the decisions equal"
    )
    return 0
