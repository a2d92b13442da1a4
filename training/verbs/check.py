"""``policytag-train check``: its arguments; the work is in `training.check`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help="annotations to learn from (JSONL)")
    add("--dev", type=Path, nargs="+", default=[], metavar="FILE", help="annotations to measure on")
    add("--test", type=Path, nargs="+", default=[], metavar="FILE", help="annotations for promotion's test")
    add("--all", action="store_true", help="list all findings, not the first 50 of each level")
    add("--json", action="store_true", help="print JSON")
    common.add_labels(parser)


def run(args: Namespace) -> int:
    from policytag.taxonomy import Taxonomy
    from training import check
    from training.annotations import MAX_LISTED

    splits = {"train": args.files, "dev": args.dev, "test": args.test}
    splits = {name: files for name, files in splits.items() if files}
    checked = check.check(splits, Taxonomy.from_yaml(args.labels / "taxonomy.yaml"))
    if args.json:
        print(json.dumps(asdict(checked), ensure_ascii=False, indent=1))
    else:
        print(check.render(checked, sys.maxsize if args.all else MAX_LISTED), end="")
    return int(any(finding.level == check.ERROR for finding in checked.findings))
