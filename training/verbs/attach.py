"""``policytag-train attach``: its arguments; the work is in `training.attach`."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from pathlib import Path

from policytag.errors import InputError

log = logging.getLogger(__name__)


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--labels-apart",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="rows with text_sha256 instead of text",
    )
    add(
        "--text",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help=".txt, .txt.xz: the lines that have labels; .jsonl: all rows, with newer labels where there are any",
    )
    add("--out", type=Path, required=True, metavar="FILE.jsonl", help="annotations to write")


def run(args: Namespace) -> int:
    from training import attach, jsonl

    labels = attach.read_apart(args.labels_apart)
    rows, found = attach.attach(labels, args.text)
    if not found:
        raise InputError(
            f"{args.text[0]}: none of the {len(labels)} labelled texts is in it; expected the text they fit"
        )
    log.info("%d of %d labelled texts found", found, len(labels))
    jsonl.write(args.out, rows)
    return 0
