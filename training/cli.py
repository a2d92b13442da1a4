"""``policytag-train``: the command line of the pipeline. Parses and dispatches; every verb's work is elsewhere."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from policytag.errors import InputError, PolicytagError
from training import processes

OUTPUTS = ("out", "report", "write", "save_logits")
"""Arguments that name what is written, after minutes or hours of work."""

VERBS = {
    "check": ("find what is wrong or odd with annotations", "verbs.check"),
    "import": ("make annotations of what an annotation tool exported", "verbs.imports"),
    "export": ("write paragraphs for an annotation tool", "verbs.exports"),
    "agree": ("measure how far annotators agree and list where they do not", "verbs.agree"),
    "suggest": ("choose what to label next", "verbs.suggest"),
    "audit": ("find labels that are probably wrong", "verbs.audit"),
    "fit": ("fine-tune an encoder, measure it, write a model folder", "verbs.fit"),
    "leave-one-out": ("measure on each document of a set with a model that did not see it", "verbs.leave_one_out"),
    "evaluate": ("measure a model in every figure and curve, as a page", "verbs.evaluate"),
    "quantise": ("write a model's graphs anew, float32 and 8-bit; its weights stay", "verbs.quantise"),
    "promote": ("make a model current, if it passes the gates", "verbs.promote"),
    "rollback": ("make an earlier model current again", "verbs.rollback"),
    "list": ("list the models kept and how they came and went", "verbs.listing"),
    "faithfulness": ("measure whether evidence is what the model goes by", "verbs.faithfulness"),
    "drift": ("compare a run of 'policytag tag' with what the model was calibrated on", "verbs.drift"),
    "attach": ("join labels kept apart from their text with it", "verbs.attach"),
    "soft-label": ("label text with the mean opinion of teachers", "soft_labels"),
    "robustness": ("measure how often tags stay when only the writing changes", "robustness"),
    "distil": ("teach a small network with a large one made for it, on a GPU", "verbs.distil"),
    "pretrain": ("pretrain the small encoder on unlabelled text", "verbs.pretrain"),
}
"""Verb -> what it does, and its module in `training`, which has ``add_arguments`` and ``run``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb. Exit code: 0 done, 1 failed, 2 usage, 3 finished with rejected rows."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser(arguments).parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if processes.is_first() else logging.WARNING,
        stream=sys.stderr,
        format="%(levelname)s %(name)s: %(message)s",
    )
    for noisy in ("httpx", "huggingface_hub"):
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
        epilog="exit codes: 0 done, 1 failed, 2 usage, 3 finished with rejected rows",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (text, module) in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        # Only the verb that is asked for is imported: --help stays fast.
        if name in arguments:
            implementation = importlib.import_module(f"training.{module}")
            implementation.add_arguments(verb)
            verb.set_defaults(run=implementation.run)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
