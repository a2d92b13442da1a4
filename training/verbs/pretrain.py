"""`policytag-train pretrain`: its arguments; the work is in `training.pretraining`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from training.pretraining.config import Inputs, load_config
from training.pretraining.operation import pretrain

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `policytag-train pretrain`."""
    add = parser.add_argument
    add("--text", type=Path, nargs="+", required=True, metavar="FILE", help=".txt(.xz) files or folders of them")
    add("--out", type=Path, required=True, help="folder for the encoder, for example models/encoder")
    add("--config", type=Path, help="TOML file with the settings to change")
    add("--tokenizer", type=Path, help="tokenizer.json to use instead of training one")
    add("--encoder", help="Hugging Face BERT (folder or name) to continue")
    add("--work", type=Path, help="folder for cache, checkpoints and logs (default: the out folder's name + -work)")
    add("--exclude", type=Path, nargs="+", default=[], metavar="JSONL", help="texts that must not be learnt from")
    add("--probe-train", type=Path, nargs="+", default=[], metavar="JSONL", help="labelled paragraphs for the probe")
    add("--probe-dev", type=Path, nargs="+", default=[], metavar="JSONL", help="labelled paragraphs to score it on")
    add("--labels", type=Path, default=Path("labels"), help="folder with taxonomy.yaml, for the probe [%(default)s]")
    add("--max-minutes", type=float, help="stop with a checkpoint after this time")
    add("--resume", action="store_true", help="go on from the newest checkpoint in the work folder")


def run(args: argparse.Namespace) -> int:
    """Runs `policytag-train pretrain`."""
    inputs = Inputs(
        text=args.text, out=args.out, work=args.work or Path(f"{args.out}-work"),
        exclude=args.exclude, tokenizer=args.tokenizer, encoder=args.encoder,
        probe_train=args.probe_train, probe_dev=args.probe_dev, labels=args.labels,
    )  # fmt: skip
    if not pretrain(load_config(args.config), inputs, resume=args.resume, max_minutes=args.max_minutes):
        logger.info("stopped: the time is up; go on with --resume")
    return 0
