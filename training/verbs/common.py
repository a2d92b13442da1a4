"""Arguments that several verbs share."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path


def add_labels(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--labels", type=Path, default=Path("labels"), metavar="FOLDER", help="folder with taxonomy.yaml [%(default)s]"
    )


def add_models(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        type=Path,
        default=Path("models"),
        metavar="FOLDER",
        help="where 'current' and 'versions' are [%(default)s]",
    )


def add_training(parser: ArgumentParser) -> None:
    """What the verbs that train a network are given."""
    add = parser.add_argument
    add("--annotations", type=Path, nargs="+", required=True, metavar="FILE", help="annotated paragraphs (JSONL)")
    add("--encoder", required=True, metavar="FOLDER_OR_NAME", help="BERT folder, or its name on the Hugging Face hub")
    add_labels(parser)
    add("--config", type=Path, metavar="FILE.toml", help="settings to change (all of them: training/config.toml)")
    add("--seed", type=int, metavar="N", help="overrides the settings' seed")
