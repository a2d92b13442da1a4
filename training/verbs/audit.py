"""``policytag-train audit``: its arguments; the work is in `training.audit`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from training.verbs import common

START_CHARS = 60


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help="annotations to look through")
    add("--with", dest="others", type=Path, nargs="+", default=[], metavar="FILE",
        help="annotations to learn from too, but not to look through")  # fmt: skip
    add(
        "--folds",
        type=int,
        default=5,
        metavar="N",
        help="parts of the documents, each judged by a model of the others [%(default)s]",
    )
    add("--top", type=int, default=60, metavar="N", help="paragraphs to list [%(default)s]")
    add(
        "--write",
        type=Path,
        metavar="FILE.jsonl",
        help="write these paragraphs here, for 'export' and a second look",
    )
    common.add_labels(parser)


def run(args: Namespace) -> int:
    from policytag.taxonomy import Taxonomy
    from training import annotations, audit, jsonl, linear

    taxonomy = Taxonomy.from_yaml(args.labels / "taxonomy.yaml")
    rows = annotations.read([*args.files, *args.others], taxonomy)
    texts, docs = [row.text for row in rows], [row.doc for row in rows]
    probability = linear.out_of_fold(texts, annotations.gold_matrix(rows), docs, args.folds)
    looked = {row.id for row in annotations.read(args.files, taxonomy)}
    found = [finding for finding in audit.audit(rows, probability, taxonomy) if finding["id"] in looked]
    for finding in found[: args.top]:
        reasons = "; ".join(map(audit.reason, finding["doubts"]))
        print(f"{finding['place']}: {reasons}: {' '.join(finding['text'].split())[:START_CHARS]}")
    issues = [finding for finding in found if finding["issue"]]
    print(f"{len(issues)} of {len(looked)} paragraphs have a label that is probably wrong")
    if args.write:
        jsonl.write(args.write, found[: max(args.top, len(issues))])
    return 0
