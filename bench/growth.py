"""How cost grows with length, clients and processors; a paragraph alone; what a worker takes to start and to hold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import contenders, servers
from bench.timing import in_turns
from policytag.tagger import Tagger
from policytag.text import Paragraph

LENGTHS = (16, 32, 64, 128, 256, 512, 1000, 2000)
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
ALONE_TOKENS = 80


def of_length(texts: Sequence[str], length: int, count: int) -> list[str]:
    """Texts of exactly so many characters, cut from the texts one after the other."""
    joined = "".join(texts)
    joined *= 1 + length * count // len(joined)
    return [joined[i * length : (i + 1) * length] for i in range(count)]


def lengths(model: Path, texts: Sequence[str], threads: int, rounds: int) -> dict[int, float]:
    """Paragraphs a second by characters."""
    tag = contenders.ours(model, threads, "auto")
    sets = {length: of_length(texts, length, max(32, 40_000 // length)) for length in LENGTHS}
    timings = in_turns({str(n): lambda given=given: tag(given) for n, given in sets.items()}, rounds)
    return {length: len(given) / timings[str(length)].median for length, given in sets.items()}


def cores(model: Path, texts: Sequence[str], rounds: int) -> dict[int, float]:
    """Paragraphs a second by threads: 1 and 2. Tokenising in one thread, as its threads are not this engine's."""
    taggers = {threads: Tagger.load(model, threads) for threads in (1, 2)}
    windows = taggers[1].encoder.windows(texts)[0]
    actions = {str(n): lambda tagger=tagger: tagger.engine.logits(windows) for n, tagger in taggers.items()}
    return {int(n): len(texts) / timing.median for n, timing in in_turns(actions, rounds).items()}


def alone(model: Path, plain: Path, threads: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of `ALONE_TOKENS` tokens alone: text to tags here, tokens to logits in plain ONNX Runtime."""
    tagger, session = Tagger.load(model, threads), contenders.onnx_session(plain, threads)
    text = alone_text(tagger)
    ids = np.array([as_a_whole(tagger, text)], dtype=np.int64)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    actions = {
        "policytag": lambda: tagger.tag([Paragraph("a", "", 0, text)]),
        "plain ONNX Runtime fp32": lambda: session.run(["logits"], inputs),
    }
    return {name: 1000 * timing.median for name, timing in in_turns(actions, repeats).items()}


def alone_text(tagger: Tagger) -> str:
    """A paragraph of at most `ALONE_TOKENS` tokens, and of hardly fewer."""
    text = "对新认定的高新技术企业给予一次性奖励,支持企业建设研发中心和公共技术服务平台。" * 10
    while len(as_a_whole(tagger, text)) > ALONE_TOKENS:
        text = text[:-1]
    return text


def as_a_whole(tagger: Tagger, text: str) -> list[int]:
    """The tokens of a text's windows in one."""
    windows = tagger.encoder.encode([text])[0].windows
    return [windows[0][0], *(token for window in windows for token in window[1:-1]), windows[0][-1]]


def service(model: Path, texts: Sequence[str], threads: int) -> dict[str, Any]:
    """Seconds to ready, resident megabytes after work, and paragraphs a second and latency by clients."""
    by_clients = {}
    with servers.ours(model, threads) as (post, process, ready):
        servers.ask(post, texts)
        for clients in CLIENTS:
            given = texts[: max(200, 8 * clients)]
            start = time.perf_counter()
            seconds = servers.ask(post, given, clients, size=1)
            by_clients[clients] = {
                "rate": len(given) / (time.perf_counter() - start),
                "median_ms": 1000 * median(seconds),
                "p95_ms": 1000 * float(np.percentile(seconds, 95)),
            }
        return {"ready_s": ready, "resident_mb": servers.resident_megabytes(process), "clients": by_clients}
