"""``policytag-train soft-label``: several teachers' mean opinion on unlabelled paragraphs, for a student to learn from.

The teachers are finished model folders and, from annotations, the TF-IDF baseline. A model reads each paragraph twice:
as in serving, and in shorter pieces. Serving reads once, which costs half as much; a student learns what the second
reading adds. With ``--dev`` the teachers are measured first. Distillation: Hinton et al. 2015, arXiv:1503.02531.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from policytag.calibration import sigmoid
from policytag.errors import InputError
from policytag.tagger import Tagger
from policytag.taxonomy import Taxonomy
from policytag.text import normalise
from training import annotations, baseline, config, fit, jsonl, metrics, splits
from training.annotations import Annotation, gold_matrix
from training.config import Config
from training.pretraining.text import comparable, excluded_texts, read_paragraphs, text_files

log = logging.getLogger(__name__)

CALIBRATION_SHARE = 0.2
"""Share of the annotated documents that the TF-IDF teacher's distances are turned into logits on."""
MIN_CHARS, MAX_CHARS = 12, 1000
"""Normalised lengths of the paragraphs drawn: shorter ones say nothing, longer ones cost much and are rare."""
DOC_PREFIX = "corpus"
"""Documents are named by their number in the text, as annotations of the same text name them, so that splits hold."""
LOT = 4096
"""Paragraphs a model is given at a time."""
PIECE_CHARS = 60
"""Sentences are put together to pieces of at most so many characters; a longer sentence is a piece of its own."""
_SENTENCE_END = re.compile(r"(?<=[。；！？;])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``policytag-train soft-label``."""
    add = parser.add_argument
    add("--text", type=Path, nargs="+", required=True, metavar="FILE", help=".txt(.xz) files or folders of them")
    add("--out", type=Path, required=True, metavar="FILE.jsonl", help="rows with 'targets' to write, for fit")
    add("--model", type=Path, nargs="+", default=[], metavar="DIR", help="model folders that teach")
    add("--annotations", type=Path, nargs="+", default=[], metavar="FILE", help="what the TF-IDF teacher learns from")
    add("--dev", type=Path, nargs="+", default=[], metavar="FILE", help="annotations to measure the teachers on")
    add("--exclude", type=Path, nargs="+", default=[], metavar="JSONL", help="texts that must not be learnt from")
    add("--paragraphs", type=int, default=200_000, metavar="N", help="paragraphs drawn [%(default)s]")
    add("--possible", type=float, default=0.05, metavar="P",
        help="a paragraph none of whose labels is this probable counts as empty [%(default)s]")  # fmt: skip
    add("--keep-empty", type=float, default=0.25, metavar="SHARE",
        help="share kept of the empty paragraphs [%(default)s]")  # fmt: skip
    add("--labels", type=Path, default=Path("labels"), metavar="FOLDER", help="folder with taxonomy.yaml [%(default)s]")
    add("--config", type=Path, metavar="FILE.toml", help="settings to change (all of them: training/config.toml)")
    add("--seed", type=int, metavar="N", help="overrides the settings' seed")


def run(args: argparse.Namespace) -> int:
    """Runs ``policytag-train soft-label``."""
    if not args.model and not args.annotations:
        raise InputError("soft-label: no teacher; give --model, --annotations, or both")
    settings = config.load(args.config, seed=args.seed)
    taxonomy = fit.load_taxonomy(args.labels)
    known = annotations.read(args.annotations, taxonomy) if args.annotations else []
    dev = annotations.read(args.dev, taxonomy) if args.dev else []
    fit.check_apart(known, dev)
    excluded = excluded_texts([*args.exclude, *args.annotations, *args.dev])
    drawn = draw(args.text, excluded, args.paragraphs, settings.seed)
    texts = [text for _, text in drawn] + [row.text for row in dev]
    opinions = {str(folder): _model_logits(folder, taxonomy.ids, texts) for folder in args.model}
    if known:
        opinions["TF-IDF"] = tfidf_logits(known, texts, settings)
    mean = np.mean(list(opinions.values()), axis=0)
    if dev:
        everyone = {**opinions, "mean": mean}
        measure({name: logits[len(drawn) :] for name, logits in everyone.items()}, dev, taxonomy, settings)
    probability = sigmoid(mean[: len(drawn)])
    kept = keep(probability, args.possible, args.keep_empty, settings.seed)
    log.info("%d teachers, %d paragraphs, %d kept", len(opinions), len(drawn), len(kept))
    jsonl.write(args.out, rows(drawn, probability, kept, taxonomy.ids))
    return 0


def draw(paths: Sequence[Path], excluded: set[str], number: int | None, seed: int) -> list[tuple[int, str]]:
    """A random sample of different paragraphs, each with its document's number, in the order of the text.

    Args:
        excluded: Texts to leave out, in their `comparable` form.
        number: How many; None for all of them.

    Raises:
        InputError: If there is none.
    """
    seen = set(excluded)
    found: list[tuple[int, str]] = []
    for document, paragraph in read_paragraphs(text_files(paths)):
        key = comparable(paragraph)
        if key not in seen and MIN_CHARS <= len(normalise(paragraph)) <= MAX_CHARS:
            seen.add(key)
            found.append((document, paragraph))
    if not found:
        raise InputError(f"{paths[0]}: no paragraph of {MIN_CHARS} to {MAX_CHARS} characters; expected plain text")
    chosen = np.random.default_rng(seed).permutation(len(found))[:number]
    return [found[i] for i in sorted(chosen)]


def tfidf_logits(rows: Sequence[Annotation], texts: Sequence[str], settings: Config) -> NDArray[np.float32]:
    """The baseline's distances as logits, by a logistic curve a label that is fitted on documents held out.

    Shape: ``(n, L) float32``. Platt 1999, "Probabilistic outputs for support vector machines".
    """
    gold, words = gold_matrix(rows), [row.text for row in rows]
    held = splits.hold_out([row.doc for row in rows], gold, CALIBRATION_SHARE, settings.seed)
    inside = [text for text, out in zip(words, held, strict=True) if not out]
    outside = [text for text, out in zip(words, held, strict=True) if out]
    distances = baseline.scores(inside, gold[~held], outside, settings)
    logits = baseline.scores(words, gold, texts, settings)
    for column in range(gold.shape[1]):
        label = gold[held, column]
        if label.all() or not label.any():
            raise InputError(f"label column {column}: held out only one way; expected more annotations of it")
        curve = LogisticRegression(C=100.0).fit(distances[:, [column]], label)
        logits[:, column] = curve.decision_function(logits[:, [column]])
    return logits.astype(np.float32)


def keep(probability: NDArray[np.float32], possible: float, share: float, seed: int) -> NDArray[np.intp]:
    """Rows where some label is as probable as ``possible``, and a share of the others.

    Shape: ``(n, L)`` -> ``(k,)``, rising.
    """
    likely = probability.max(axis=1) >= possible
    return np.flatnonzero(likely | (np.random.default_rng(seed).random(len(likely)) < share))


def pieces(text: str) -> list[str]:
    """A text in pieces of whole sentences; together they are the text.

    With 5 characters a piece, 「甲。乙。丙丁。」 is 「甲。乙。」 and 「丙丁。」.
    """
    found = [""]
    for sentence in _SENTENCE_END.split(text):
        if found[-1] and len(found[-1]) + len(sentence) > PIECE_CHARS:
            found.append("")
        found[-1] += sentence
    return found


def two_readings(tagger: Tagger, texts: Sequence[str]) -> NDArray[np.float32]:
    """The mean of a model's logits for texts as it reads them and their largest over a text's `pieces`, calibrated.

    Shape: ``(n, L) float32``.
    """
    cut = [pieces(text) for text in texts]
    asked = list(dict.fromkeys([*texts, *(piece for parts in cut for piece in parts)]))  # many texts are one piece
    logits = dict(zip(asked, tagger.logits(asked)[0], strict=True))
    whole = np.array([logits[text] for text in texts])
    parted = np.array([np.max([logits[piece] for piece in parts], axis=0) for parts in cut])
    return ((whole + parted) / 2 / tagger.artifact.calibration.temperature).astype(np.float32)


def measure(
    opinions: Mapping[str, NDArray[np.float32]], dev: Sequence[Annotation], taxonomy: Taxonomy, settings: Config
) -> None:
    """Logs how right each teacher is on annotated paragraphs: mean average precision, macro-F1 where a half decides.

    Args:
        opinions: Logits by teacher, shape ``(n, L) float32``.
        dev: ``n`` paragraphs.
    """
    bootstrap = metrics.Bootstrap.draw([row.doc for row in dev], settings.resamples, settings.seed)
    for name, logits in opinions.items():
        found = metrics.score(gold_matrix(dev), logits > 0, logits, taxonomy, bootstrap)["groups"]["all"]
        low, high = found["macro_f1_ci"]
        log.info("%s: mean average precision %.3f, macro-F1 at 0.5 %.3f (%.3f to %.3f)",
                 name, found["mean_average_precision"], found["macro_f1"], low, high)  # fmt: skip


def _model_logits(folder: Path, ids: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
    """Calibrated logits of two readings. Shape: ``(n, L) float32``."""
    tagger = Tagger.load(folder)
    if tuple(tagger.taxonomy.ids) != tuple(ids):
        raise InputError(f"{folder}: its labels are not those of --labels; expected a model of the same taxonomy")
    lots = []
    for start in range(0, len(texts), LOT):
        lots.append(two_readings(tagger, texts[start : start + LOT]))
        log.info("%s: %d of %d paragraphs", folder, start + len(lots[-1]), len(texts))
    return np.concatenate(lots)


def rows(
    drawn: Sequence[tuple[int, str]], probability: NDArray[np.float32], kept: NDArray[np.intp], ids: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Drawn paragraphs with their probabilities as `fit` reads them; those that are ``kept``."""
    for i in kept:
        document, text = drawn[i]
        targets = {label: round(float(p), 4) for label, p in zip(ids, probability[i], strict=True)}
        yield {"id": f"soft-{i}", "doc": f"{DOC_PREFIX}/{document}", "text": text, "targets": targets}
