"""``policytag-train robustness``: whether a model's tags stay when only the writing of a text changes.

Every change keeps what a reader reads: width, characters' form, blanks, line breaks, letter case. Knows no gold labels.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import opencc

from policytag.tagger import Tagger
from policytag.text import Paragraph
from training import annotations, fit

Change = Callable[[str, random.Random], str]

EVERY = 12
"""A blank or line break is put in after about so many characters."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``policytag-train robustness``."""
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="DIR", help="model folder")
    add("--data", type=Path, nargs="+", required=True, metavar="FILE", help="annotated paragraphs (JSONL)")
    add("--labels", type=Path, default=Path("labels"), metavar="FOLDER", help="folder with taxonomy.yaml [%(default)s]")
    add("--seed", type=int, default=1, metavar="N", help="of where blanks and line breaks go [%(default)s]")


def run(args: argparse.Namespace) -> int:
    """Runs ``policytag-train robustness``."""
    texts = [row.text for row in annotations.read(args.data, fit.load_taxonomy(args.labels))]
    shares = unchanged(Tagger.load(args.model), texts, changes(), args.seed)
    print(f"{len(texts)} paragraphs; share of them with the same tags after a change of writing")
    for name, share in shares.items():
        print(f"{name:<28}{share:.4f}")
    return 0


def changes() -> Mapping[str, Change]:
    """Name -> the change: a function of a text and of random numbers."""
    return {
        "full width": lambda text, _: full_width(text),
        "traditional characters": lambda text, _: _traditional(text),
        "blanks put in": lambda text, rng: put_in(text, " ", rng),
        "line breaks put in": lambda text, rng: put_in(text, "\n", rng),
        "upper case": lambda text, _: text.upper(),
        "lower case": lambda text, _: text.lower(),
    }


def unchanged(tagger: Tagger, texts: Sequence[str], named: Mapping[str, Change], seed: int) -> dict[str, float]:
    """Name of each change -> share of the texts whose tags are the same after it, in [0, 1]."""
    before = _tags(tagger, texts)
    shares = {}
    for name, change in named.items():
        rng = random.Random(seed)
        after = _tags(tagger, [change(text, rng) for text in texts])
        shares[name] = sum(a == b for a, b in zip(before, after, strict=True)) / len(texts)
    return shares


def full_width(text: str) -> str:
    """``"AI 5%"`` -> ``"ＡＩ　５％"``."""
    return text.translate({0x20: 0x3000, **{half: half + 0xFEE0 for half in range(0x21, 0x7F)}})


def put_in(text: str, blank: str, rng: random.Random) -> str:
    """Puts a blank between Chinese characters here and there; letters and digits stay together."""
    out = []
    for char, following in zip(text, text[1:] + " ", strict=True):
        out.append(char)
        if not (char.isascii() or following.isascii()) and rng.random() < 1 / EVERY:
            out.append(blank)
    return "".join(out)


_traditional = opencc.OpenCC("s2t").convert


def _tags(tagger: Tagger, texts: Sequence[str]) -> list[tuple[str, ...]]:
    paragraphs = [Paragraph(str(i), "", i, text) for i, text in enumerate(texts)]
    return [tuple(s.label_id for s in p.scores if s.assigned) for p in tagger.tag(paragraphs)]
