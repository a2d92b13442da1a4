"""``policytag-train``: the command line of the pipeline. Parses and dispatches; every verb's work is elsewhere."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from policytag.errors import InputError, PolicytagError
from training import config

OUTPUTS = ("out", "report", "write", "save_logits")
"""Arguments that name what is written, after minutes or hours of work."""

Verb = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb. Exit code: 0 done, 1 failed, 2 usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser(arguments).parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("onnxscript", "onnx_ir", "httpx", "torch.onnx", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        _check_outputs(args)
        return args.run(args)
    except PolicytagError as error:
        return _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}; check the path, its permissions and the free space")
    except KeyboardInterrupt:
        return _fail("interrupted", 128 + signal.SIGINT)


def _fail(message: str, code: int = 1) -> int:
    print(message, file=sys.stderr)
    return code


def _check_outputs(args: argparse.Namespace) -> None:
    """Refuses what could not be written in the end.

    Raises:
        InputError: Naming the path and what stands in its way.
    """
    for name in OUTPUTS:
        path: Path | None = getattr(args, name, None)
        if path is None:
            continue
        nearest = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
        as_expected = nearest.is_dir() if nearest != path.absolute() else name == "out" or nearest.is_file()
        if not as_expected or not os.access(nearest, os.W_OK):
            raise InputError(f"{path}: cannot be written because of {nearest}; give another place")


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="policytag-train",
        description="Train the models that policytag tags with.",
        epilog="exit codes: 0 done, 1 failed, 2 usage",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    table: dict[str, Verb] = {
        "fit": ("fine-tune an encoder, measure it, write a model folder", _fit_arguments, _fit),
        "leave-one-out": ("measure on each document of a set with a model that did not see it", _loo_arguments, _loo),
        "attach": ("join labels kept apart from their text with it", _attach_arguments, _attach),
        "soft-label": ("label text with the mean opinion of teachers", _soft_label_arguments, _soft_label),
        "pretrain": ("pretrain the small encoder on unlabelled text", _pretrain_arguments, _pretrain),
    }
    for name, (text, add_arguments, run) in table.items():
        verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        # Only the verb that is asked for may import what its arguments need: --help stays fast.
        if name in arguments:
            add_arguments(verb)
        verb.set_defaults(run=run)
    return parser


def _common_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--annotations", type=Path, nargs="+", required=True, metavar="FILE", help="annotated paragraphs (JSONL)")
    add("--encoder", required=True, metavar="FOLDER_OR_NAME", help="BERT folder, or its name on the Hugging Face hub")
    add("--labels", type=Path, default=Path("labels"), metavar="FOLDER", help="folder with taxonomy.yaml [%(default)s]")
    add("--config", type=Path, metavar="FILE.toml", help="settings to change (all of them: training/config.toml)")
    add("--seed", type=int, metavar="N", help="overrides the settings' seed")


def _fit_arguments(parser: argparse.ArgumentParser) -> None:
    _common_arguments(parser)
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
    add("--report", type=Path, metavar="FILE.json", help="also write the report here")


def _fit(args: argparse.Namespace) -> int:
    from training import fit, report

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
    result = fit.fit(request, config.load(args.config, seed=args.seed))
    if args.report:
        report.write(result, args.report)
    print(report.render(result), end="")
    return 0


def _loo_arguments(parser: argparse.ArgumentParser) -> None:
    _common_arguments(parser)
    add = parser.add_argument
    add("--test", type=Path, nargs="+", required=True, metavar="FILE",
        help="annotated documents; each is tagged by a model trained on --annotations and the others")  # fmt: skip
    add("--report", type=Path, metavar="FILE.json", help="write figures and wrong tags here")
    add("--write", type=Path, metavar="FILE.md", help="write figures and wrong tags as a page")


def _loo(args: argparse.Namespace) -> int:
    from training import leave_one_out, report

    settings = config.load(args.config, seed=args.seed)
    result = leave_one_out.run(args.annotations, args.test, args.encoder, args.labels, settings)
    if args.report:
        report.write(result, args.report)
    if args.write:
        args.write.parent.mkdir(parents=True, exist_ok=True)
        args.write.write_text(leave_one_out.page(result), encoding="utf-8")
    print(leave_one_out.render(result), end="")
    return 0


def _attach_arguments(parser: argparse.ArgumentParser) -> None:
    from training import attach

    attach.add_arguments(parser)


def _attach(args: argparse.Namespace) -> int:
    from training import attach

    return attach.run(args)


def _soft_label_arguments(parser: argparse.ArgumentParser) -> None:
    from training import soft_labels

    soft_labels.add_arguments(parser)


def _soft_label(args: argparse.Namespace) -> int:
    from training import soft_labels

    return soft_labels.run(args)


def _pretrain_arguments(parser: argparse.ArgumentParser) -> None:
    from training import pretrain

    pretrain.add_arguments(parser)


def _pretrain(args: argparse.Namespace) -> int:
    from training import pretrain

    return pretrain.run(args)


if __name__ == "__main__":
    raise SystemExit(main())
