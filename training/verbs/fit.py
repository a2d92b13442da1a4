"""``policytag-train fit``: its arguments; the work is in `training.fit`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    common.add_training(parser)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="model folder to write")
    add("--dev", type=Path, nargs="+", default=[], metavar="FILE",
        help="annotated paragraphs to measure on; without it, on documents held out of --annotations")  # fmt: skip
    add("--exclude-doc", nargs="+", action="extend", default=[], metavar="DOC", help="documents to leave out")
    add("--calibrate-on", choices=["held-out", "dev"], default="held-out",
        help="what to fit temperature and thresholds on (default: rows held out of --annotations)")  # fmt: skip
    add("--out-of-fold", type=Path, metavar="FILE.jsonl",
        help="calibrate on these logits of annotated rows instead: {id, logits: {label: number}} a line")  # fmt: skip
    add("--save-logits", type=Path, metavar="FILE.jsonl",
        help="write the logits of the rows measured on, as --out-of-fold reads them")  # fmt: skip
    add("--skip-baseline", action="store_true", help="do not train the TF-IDF baseline")
    add("--log-to", nargs="+", choices=["tensorboard", "mlflow"], default=[], metavar="WHERE",
        help="also log to tensorboard (--log-dir) or mlflow (MLFLOW_TRACKING_URI says where)")  # fmt: skip
    add("--log-dir", type=Path, default=Path("runs/logs"), metavar="FOLDER", help="TensorBoard's logs [%(default)s]")
    add("--report", type=Path, metavar="FILE.json", help="also write the report here")


def run(args: Namespace) -> int:
    from training import config, fit, observers, report

    request = fit.Request(
        annotations=tuple(args.annotations),
        dev=tuple(args.dev),
        encoder=args.encoder,
        labels=args.labels,
        out=args.out,
        exclude_docs=tuple(args.exclude_doc),
        calibrate_on=args.calibrate_on,
        out_of_fold=args.out_of_fold,
        save_logits=args.save_logits,
        with_baseline=not args.skip_baseline,
    )
    request = replace(request, observers=observers.observers(args.log_to, args.log_dir / args.out.name))
    result = fit.fit(request, config.load(args.config, start=args.encoder, seed=args.seed))
    if not result:  # another process of this training reports
        return 0
    if args.report:
        report.write(result, args.report)
    print(report.render(result), end="")
    return 0
