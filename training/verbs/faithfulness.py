"""``policytag-train faithfulness``: its arguments; the work is in `training.faithfulness`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="FILE", help="annotated paragraphs (JSONL)")
    add("--model", type=Path, default=Path("models/current"), metavar="FOLDER", help="model folder [%(default)s]")
    add("--seed", type=int, default=0, metavar="N", help="of the random spans [%(default)s]")


def run(args: Namespace) -> int:
    from policytag.tagger import Tagger
    from training import annotations, faithfulness

    tagger = Tagger.load(args.model)
    found = faithfulness.measure(tagger, annotations.read(args.data, tagger.taxonomy), args.seed)
    print(faithfulness.render(found), end="")
    return 0
