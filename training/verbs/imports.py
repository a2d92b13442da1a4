"""``policytag-train import``: its arguments; the work is in `training.formats`."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from training.formats import FORMATS
from training.formats.judgements import MAJORITY, RESOLUTIONS
from training.verbs import common

log = logging.getLogger(__name__)

CORRECTIONS = "corrections"
REJECTED = 3


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="files that the tool exported; of corrections, the database's URL")
    add("--from", dest="format", choices=[*sorted(FORMATS), CORRECTIONS], required=True, help="the tool")
    add("--out", type=Path, required=True, metavar="FILE.jsonl", help="annotations to write")
    add("--resolve", choices=RESOLUTIONS, default=MAJORITY,
        help="of several annotators: the labels that more than half gave, or a row for each [%(default)s]")  # fmt: skip
    add("--doc", metavar="NAME", help="document of paragraphs that name none")
    common.add_labels(parser)


def run(args: Namespace) -> int:
    from policytag.taxonomy import Taxonomy
    from training import jsonl
    from training.formats import corrections
    from training.formats.judgements import resolve

    if args.format == CORRECTIONS:
        paragraphs = (paragraph for url in args.files for paragraph in corrections.read(url))
    else:
        paragraphs = (paragraph for file in args.files for paragraph in FORMATS[args.format].read(Path(file)))
    found = resolve(paragraphs, Taxonomy.from_yaml(args.labels / "taxonomy.yaml"), args.resolve, args.doc)
    jsonl.write(args.out, found.rows)
    for line in found.rejected:
        print(line, file=sys.stderr)
    log.info("%d rows written, %d paragraphs not labelled yet, %d rejected",
             len(found.rows), found.unlabelled, len(found.rejected))  # fmt: skip
    return REJECTED if found.rejected else 0
