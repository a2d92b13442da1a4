"""``policytag-train agree``: its arguments; the work is in `training.agreement`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE.jsonl",
        help="annotations: a file for each annotator with the same ids, or rows with the key 'annotator'")  # fmt: skip
    add("--report", type=Path, metavar="FILE.json", help="write the figures here")
    add("--write", type=Path, metavar="FILE.jsonl",
        help="write the paragraphs with different labels here, for 'export' and a third opinion")  # fmt: skip
    common.add_labels(parser)


def run(args: Namespace) -> int:
    from policytag.taxonomy import Taxonomy
    from training import agreement, jsonl, report

    taxonomy = Taxonomy.from_yaml(args.labels / "taxonomy.yaml")
    found = agreement.agreement(agreement.read(args.files, taxonomy), taxonomy)
    if args.report:
        report.write(found, args.report)
    if args.write:
        jsonl.write(args.write, found["disagreements"])
    for row in found["disagreements"]:
        print(
            f"{row['id']}: " + "; ".join(f"{name}: {', '.join(labels) or '-'}" for name, labels in row["said"].items())
        )
    print(agreement.render(found), end="")
    return 0
