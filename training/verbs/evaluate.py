"""``policytag-train evaluate``: its arguments; the work is in `training.evaluation`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="model folder")
    add("--annotations", type=Path, nargs="+", required=True, metavar="FILE",
        help="annotated paragraphs that the model did not learn from")  # fmt: skip
    add("--compare", type=Path, metavar="MODEL", help="another model, on the same paragraphs")
    add("--write", type=Path, required=True, metavar="FILE.html", help="the report to open in a browser")
    add("--report", type=Path, metavar="FILE.json", help="also write the figures here")
    add("--resamples", type=int, default=1000, metavar="N", help="of the bootstrap [%(default)s]")
    add("--seed", type=int, default=1, metavar="N", help="of the bootstrap [%(default)s]")


def run(args: Namespace) -> int:
    from policytag.tagger import Tagger
    from training import annotations, evaluation, report, report_page

    tagger = Tagger.load(args.model)
    rows = annotations.read(args.annotations, tagger.taxonomy)
    other = evaluation.Answers(Tagger.load(args.compare), rows) if args.compare else None
    figures = evaluation.evaluate(rows, evaluation.Answers(tagger, rows), other, args.resamples, args.seed)
    if args.report:
        report.write(figures, args.report)
    args.write.parent.mkdir(parents=True, exist_ok=True)
    args.write.write_text(report_page.render(figures, tagger.taxonomy), encoding="utf-8")
    print(evaluation.headline(figures))
    return 0
