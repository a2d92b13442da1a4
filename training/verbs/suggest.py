"""``policytag-train suggest``: its arguments; the work is in `training.suggestion` and `training.learning_curve`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("texts", type=Path, nargs="*", metavar="FILE",
        help="unlabelled documents: .txt (cut into paragraphs) or .jsonl (id, doc, text a line)")  # fmt: skip
    add("--annotations", type=Path, nargs="+", required=True, metavar="FILE", help="what is labelled already")
    add("--model", type=Path, metavar="MODEL", help="model folder to ask (default: a linear model of --annotations)")
    add("--number", type=int, default=100, metavar="N", help="paragraphs to choose [%(default)s]")
    add("--write", type=Path, metavar="FILE.jsonl", help="the paragraphs chosen, with suggested labels, for 'export'")
    add("--curve", type=Path, metavar="FILE.json",
        help="instead, compare with chance on --annotations: learning curves of a linear model")  # fmt: skip
    add("--seeds", type=int, default=3, metavar="N", help="repetitions of --curve [%(default)s]")
    add("--seed", type=int, default=1, metavar="N", help="of the choice [%(default)s]")
    common.add_labels(parser)


def run(args: Namespace) -> int:
    from policytag.errors import InputError
    from policytag.taxonomy import Taxonomy
    from training import annotations, jsonl, learning_curve, report, suggest

    taxonomy = Taxonomy.from_yaml(args.labels / "taxonomy.yaml")
    rows = annotations.read(args.annotations, taxonomy)
    if args.curve:
        gold, docs = annotations.gold_matrix(rows), [row.doc for row in rows]
        found = learning_curve.curves(
            [row.text for row in rows], gold, docs, first=200, step=200, steps=7, seeds=args.seeds
        )
        report.write(found, args.curve)
        print(suggest.render(found), end="")
        return 0
    if not args.texts or not args.write:
        raise InputError(
            "suggest: nothing to choose from or nowhere to write; give files of text and --write, or --curve"
        )
    chosen = suggest.suggest(args.texts, rows, taxonomy, args.model, args.number, args.seed)
    jsonl.write(args.write, chosen)
    print(f"{args.write}: {len(chosen)} paragraphs to label")
    return 0
