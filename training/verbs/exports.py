"""``policytag-train export``: its arguments; the work is in `training.formats`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from training.formats import FORMATS
from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE.jsonl", help="annotations, or paragraphs to annotate")
    add("--to", dest="format", choices=sorted(FORMATS), required=True, help="the tool")
    add("--out", type=Path, required=True, metavar="FILE",
        help="file to write; what the tool needs to know of the labels goes beside it")  # fmt: skip
    common.add_labels(parser)


def run(args: Namespace) -> int:
    from policytag.errors import InputError
    from policytag.taxonomy import Taxonomy
    from training import jsonl
    from training.formats.judgements import labels_of

    taxonomy = Taxonomy.from_yaml(args.labels / "taxonomy.yaml")
    rows = []
    for file in args.files:
        for place, row in jsonl.read(file):
            missing = [key for key in ("id", "doc", "text") if not isinstance(row.get(key), str)]
            if missing:
                raise InputError(f"{place}: no '{missing[0]}'; expected rows with id, doc and text")
            for label in labels_of(row) or ():
                taxonomy.column(label)
            rows.append(row)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    FORMATS[args.format].write(args.out, rows, taxonomy)
    return 0
