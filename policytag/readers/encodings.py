"""Bytes to text in the encodings that Chinese documents come in. Knows nothing of file formats.

Government pages often name an encoding that they are not in (``gb2312`` for GBK, GB18030 or UTF-8), so what a page
declares is only tried, after UTF-8, which no other encoding passes for.
"""

from __future__ import annotations

import codecs
import unicodedata

from policytag.errors import InputError

SAMPLE_BYTES = 256 * 1024
"""What an encoding is guessed from."""
MIN_READABLE_SHARE = 0.9
"""A decoding in which fewer of the characters are letters, digits, marks or blanks is taken for a wrong one."""
MAX_DAMAGED_SHARE = 0.001
"""Bytes that do not decode, as a share of the text, that are replaced by U+FFFD; more are refused."""

EXPECTED = "unknown encoding; expected UTF-8, UTF-16, GB18030 or Big5. Save it as UTF-8"
_GUESSED = ["gb18030", "big5", "utf_16_le", "utf_16_be"]
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "big5": "big5hkscs", "cp950": "big5hkscs"}
"""Encoding -> the one that contains it; what is declared as the smaller is often written in the larger."""
_NAMES = {"big5hkscs": "big5", "utf_16_le": "utf-16-le", "utf_16_be": "utf-16-be", "utf-8-sig": "utf-8"}


def decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """The text and the name of the encoding it was in.

    Args:
        declared: What the file says of itself.

    Raises:
        InputError: If no known encoding fits.
    """
    encoding = detect(data, declared)
    text = data.decode(encoding, "replace")
    if data.startswith(codecs.BOM_UTF8 if encoding == "utf-8-sig" else (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = text.removeprefix("\ufeff")
    if text.count("\ufffd") > MAX_DAMAGED_SHARE * len(text) and not _strict(data, encoding):
        raise InputError(EXPECTED)
    return text, name(encoding)


def detect(data: bytes, declared: str | None = None) -> str:
    """Python's name for the encoding of ``data``, which may be the beginning of something longer.

    Raises:
        InputError: If no known encoding fits.
    """
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if not _readable(data[: SAMPLE_BYTES // 2 * 2].decode("utf-16", "replace")):
            raise InputError(EXPECTED)
        return "utf-16"
    sample = _sample(data)
    for candidate in ("utf-8", _known(declared) if declared else None):
        if candidate and _fits(sample, candidate):
            return candidate
    guess = _guess(sample)
    if guess is None or not _readable(sample.decode(guess, "replace")):
        raise InputError(EXPECTED)
    return guess


def name(encoding: str) -> str:
    """The name to show: ``"big5hkscs"`` -> ``"big5"``."""
    return _NAMES.get(encoding, encoding)


def _sample(data: bytes) -> bytes:
    """A beginning that ends where a character ends: after a line, or after a pair of bytes."""
    if len(data) <= SAMPLE_BYTES:
        return data
    cut = data.rfind(b"\n", 0, SAMPLE_BYTES)
    return data[: cut + 1] if cut > 0 and b"\0" not in data[:SAMPLE_BYTES] else data[:SAMPLE_BYTES]


def _known(declared: str) -> str | None:
    try:
        found = codecs.lookup(declared.strip().lower()).name
    except (LookupError, ValueError):
        return None
    return _WIDER.get(found, found)


def _fits(sample: bytes, encoding: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)("strict").decode(sample)
    except (UnicodeDecodeError, LookupError):
        return False
    return _readable(text)


def _guess(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes  # slow to import, and few texts are not UTF-8

    best = from_bytes(sample, cp_isolation=_GUESSED).best()
    if best is not None:
        return _WIDER.get(best.encoding, best.encoding)
    # One damaged byte rules an encoding out there; a text that is otherwise readable is worth more than the byte.
    for encoding in ("utf-8", "gb18030", "big5hkscs"):
        text = sample.decode(encoding, "replace")
        if text.count("\ufffd") <= MAX_DAMAGED_SHARE * len(text):
            return encoding
    return None


def _strict(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _readable(text: str) -> bool:
    sample = text[:20_000]
    if not sample:
        return True
    odd = sum(1 for char in sample if _odd(char))
    return odd <= (1 - MIN_READABLE_SHARE) * len(sample)


def _odd(char: str) -> bool:
    if char in "\n\r\t\f\v" or "\u4e00" <= char <= "\u9fff":
        return False
    return unicodedata.category(char) in {"Cc", "Co", "Cn", "Cs"} or "\uac00" <= char <= "\ud7ff"
