"""Text for pretraining, as streams: files to documents and paragraphs, without the texts that must not be learnt from.

Knows neither tokens nor passages; a paragraph is a line, a document what stands between blank lines.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from policytag.text import normalise
from training import jsonl
from training.pretraining.errors import PretrainError

TEXT_SUFFIXES = (".txt", ".txt.xz")


def text_files(paths: Iterable[Path]) -> list[Path]:
    """The `.txt` and `.txt.xz` files among `paths`; folders are searched through, in the order of their names."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(TEXT_SUFFIXES))
            if not inside:
                raise PretrainError(f"{path}: no {' or '.join(TEXT_SUFFIXES)} file in this folder")
            found += inside
        elif not path.is_file():
            raise PretrainError(f"{path}: no such file or folder; --text takes text files and folders of them")
        elif not path.name.endswith(TEXT_SUFFIXES):
            raise PretrainError(f"{path}: expected a name that ends in {' or '.join(TEXT_SUFFIXES)}")
        else:
            found.append(path)
    return found


def read_paragraphs(files: Iterable[Path]) -> Iterator[tuple[int, str]]:
    """Streams (document number, paragraph); a blank line or the end of a file ends a document.

    The text "甲\\n乙\\n\\n丙\\n" gives (0, "甲"), (0, "乙"), (1, "丙").
    """
    document, started = -1, False
    for path in files:
        started = False
        for line in _lines(path):
            if not (paragraph := line.strip()):
                started = False
                continue
            if not started:
                document, started = document + 1, True
            yield document, paragraph


def _lines(path: Path) -> Iterator[str]:
    opener = lzma.open if path.name.endswith(".xz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as stream:
            yield from stream
    except OSError as error:
        raise PretrainError(f"{path}: cannot be read ({error.strerror})") from None
    except (lzma.LZMAError, EOFError):
        raise PretrainError(f"{path}: the xz data is damaged or cut short; pack the file again") from None
    except UnicodeDecodeError as error:
        raise PretrainError(f"{path}: not UTF-8 ({error.reason}); convert it, for example with iconv") from None


def comparable(text: str) -> str:
    """Text as exclusion compares it: normalised, lower case, no white space. "ＡＢ　一 " becomes "ab一"."""
    return "".join(normalise(text).lower().split())


def kept_paragraphs(files: Iterable[Path], excluded: set[str]) -> Iterator[tuple[int, str, bool]]:
    """Streams (document number, normalised paragraph, whether to keep it).

    Args:
        excluded: texts in their `comparable` form.
    """
    for document, paragraph in read_paragraphs(files):
        text = normalise(paragraph)
        if text:
            yield document, text, not excluded or comparable(text) not in excluded


def excluded_texts(paths: Iterable[Path]) -> set[str]:
    """The texts of JSONL files in their `comparable` form."""
    return {comparable(text) for path in paths for text in read_texts(path)}


def sample_paragraphs(files: Sequence[Path], excluded: set[str], characters: int, seed: int) -> Iterator[str]:
    """Streams about `characters` characters of paragraphs drawn evenly from the whole text; it is read twice."""
    total = sum(len(paragraph) for _, paragraph in read_paragraphs(files))
    share = min(1.0, characters / max(1, total))
    rng = np.random.default_rng(seed)
    for _, paragraph, kept in kept_paragraphs(files, excluded):
        if rng.random() < share and kept:
            yield paragraph


def read_texts(path: Path) -> Iterator[str]:
    """Streams the `text` of a JSONL file's records."""
    for place, row in jsonl.read(path):
        if not isinstance(row.get("text"), str):
            raise PretrainError(f"{place}: no 'text'; expected rows with a text")
        yield row["text"]
