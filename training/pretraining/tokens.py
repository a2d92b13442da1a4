"""The token cache: text goes through a tokenizer once, into flat memory-mapped arrays, and is found there again.

Knows neither passages nor the network: a cache is ids, the paragraphs' lengths and the paragraphs' documents.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.files import file_hash
from training.pretraining.errors import PretrainError
from training.pretraining.text import excluded_texts, kept_paragraphs, text_files

logger = logging.getLogger(__name__)

CACHE_RECIPE = 1  # raise it when the cache's content changes for the same text and tokenizer
ENCODE_LINES = 2000  # paragraphs tokenised together
MAX_UNKNOWN_RATE = 0.1


@dataclass(frozen=True)
class CorpusFacts:
    """What was read, for the log and the encoder card."""

    files: int
    characters: int
    documents: int
    paragraphs: int
    tokens: int
    unknown_tokens: int
    excluded_paragraphs: int
    exclusion_texts: int
    data_hash: str


@dataclass(frozen=True)
class TokenCache:
    """A tokenised corpus.

    Attributes:
        ids: Shape: (tokens,) uint16 or uint32, memory-mapped; no special tokens.
        lengths: Shape: (paragraphs,) int32; tokens in each paragraph.
        documents: Shape: (paragraphs,) int32; the paragraph's document, never falling.
        facts: counts and the data hash.
    """

    ids: NDArray[Any]
    lengths: NDArray[np.int32]
    documents: NDArray[np.int32]
    facts: CorpusFacts


def token_cache(
    work: Path, text: Sequence[Path], tokenizer: Tokenizer, exclude: Sequence[Path], max_paragraph_chars: int
) -> TokenCache:
    """Tokenises the text into `work`, or finds it there already tokenised from the same bytes by the same tokenizer."""
    files = text_files(text)
    data_hash = _data_hash(files, tokenizer, exclude, max_paragraph_chars)
    folder = work / f"tokens-{data_hash[:16]}"
    if not (folder / "facts.json").is_file():
        _build_cache(folder, files, tokenizer, exclude, max_paragraph_chars, data_hash)
    facts = CorpusFacts(**json.loads((folder / "facts.json").read_text(encoding="utf-8")))
    ids = np.load(folder / "ids.npy", mmap_mode="r")
    return TokenCache(ids, np.load(folder / "lengths.npy"), np.load(folder / "documents.npy"), facts)


def _data_hash(files: Sequence[Path], tokenizer: Tokenizer, exclude: Sequence[Path], max_chars: int) -> str:
    parts = [str(CACHE_RECIPE), str(max_chars), hashlib.sha256(tokenizer.to_str().encode()).hexdigest()]
    parts += ["text", *map(file_hash, files), "exclude", *sorted(map(file_hash, exclude))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _build_cache(
    folder: Path, files: Sequence[Path], tokenizer: Tokenizer, exclude: Sequence[Path], max_chars: int, data_hash: str
) -> None:
    building = folder.with_name(f"{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # what a killed run left
    building.mkdir(parents=True)
    excluded = excluded_texts(exclude)
    try:
        with (building / "ids.raw").open("wb") as stream:
            writer = _TokenWriter(stream, tokenizer)
            for document, paragraph, kept in kept_paragraphs(files, excluded):
                writer.add(document, paragraph[:max_chars], kept)
            writer.flush()
        facts = CorpusFacts(
            files=len(files), characters=writer.characters, documents=len(set(writer.documents)),
            paragraphs=len(writer.lengths), tokens=sum(writer.lengths), unknown_tokens=writer.unknown,
            excluded_paragraphs=writer.excluded, exclusion_texts=len(excluded), data_hash=data_hash,
        )  # fmt: skip
        _check_corpus(facts, files)
        _finish_cache(building, writer, facts)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


class _TokenWriter:
    """Tokenises paragraphs in large lots, writes the ids to a stream and keeps the counts."""

    def __init__(self, stream: BinaryIO, tokenizer: Tokenizer) -> None:
        self._stream, self._tokenizer, self._pending = stream, tokenizer, []
        self._unknown_id = tokenizer.token_to_id("[UNK]")
        self.dtype = np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32
        self.lengths, self.documents = array("i"), array("i")
        self.characters = self.unknown = self.excluded = 0

    def add(self, document: int, paragraph: str, kept: bool) -> None:
        if not kept:
            self.excluded += 1
            return
        self._pending.append(paragraph)
        self.documents.append(document)
        self.characters += len(paragraph)
        if len(self._pending) == ENCODE_LINES:
            self.flush()

    def flush(self) -> None:
        for encoding in self._tokenizer.encode_batch_fast(self._pending, add_special_tokens=False):
            ids = np.array(encoding.ids, dtype=self.dtype)
            self.lengths.append(len(ids))
            self.unknown += int((ids == self._unknown_id).sum())
            self._stream.write(ids.tobytes())
        self._pending.clear()


def _check_corpus(facts: CorpusFacts, files: Sequence[Path]) -> None:
    where = f"{files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    if not facts.tokens:
        raise PretrainError(
            f"{where}: no text ({facts.excluded_paragraphs} paragraphs excluded); expected one paragraph a line, "
            "documents separated by blank lines"
        )
    rate = facts.unknown_tokens / facts.tokens
    logger.info(
        "text: %d documents, %d paragraphs, %d characters, %d tokens, [UNK] %.3f %%, %d paragraphs excluded",
        facts.documents, facts.paragraphs, facts.characters, facts.tokens, 100 * rate, facts.excluded_paragraphs,
    )  # fmt: skip
    if rate > MAX_UNKNOWN_RATE:
        raise PretrainError(
            f"{where}: {rate:.0%} of the tokens are [UNK] (at most {MAX_UNKNOWN_RATE:.0%} expected); "
            "the tokenizer does not fit the text"
        )


def _finish_cache(folder: Path, writer: _TokenWriter, facts: CorpusFacts) -> None:
    raw = np.memmap(folder / "ids.raw", dtype=writer.dtype, mode="r")
    ids = np.lib.format.open_memmap(folder / "ids.npy", mode="w+", dtype=writer.dtype, shape=raw.shape)
    for start in range(0, len(raw), 1 << 24):
        ids[start : start + (1 << 24)] = raw[start : start + (1 << 24)]
    ids.flush()
    (folder / "ids.raw").unlink()
    np.save(folder / "lengths.npy", np.array(writer.lengths, dtype=np.int32))
    np.save(folder / "documents.npy", np.array(writer.documents, dtype=np.int32))
    (folder / "facts.json").write_text(json.dumps(asdict(facts), indent=2), encoding="utf-8")
