"""What a model must show before it is promoted. Knows neither where models lie nor how one is put in its place."""

from __future__ import annotations

import logging
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policytag import artifact
from policytag.calibration import decide, probabilities
from policytag.errors import PolicytagError
from policytag.tagger import Tagger
from training import annotations, config, export, finetune, metrics
from training.annotations import Annotation, gold_matrix
from training.config import ConfigError
from training.metrics import Bootstrap

log = logging.getLogger(__name__)

TIMED_TEXTS, ROUNDS = 30, 5
"""Texts tagged one by one to measure latency, and how often."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How strict the gates are; a TOML file given with ``--gates`` changes single ones.

    Attributes:
        max_drop: Macro-F1 that a model may lose against the current one, even where the interval includes 0.
        min_support: Positives in the test from which a label has a floor.
        label_floor: Lowest F1 of such a label.
        max_slowdown: Highest latency, as a multiple of the current model's.
        resamples: Bootstrap resamples of documents.
    """

    max_drop: float = 0.03
    min_support: int = 10
    label_floor: float = 0.5
    max_slowdown: float = 1.5
    resamples: int = 1000


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's result: ``detail`` says what was measured and what was expected."""

    name: str
    passed: bool
    detail: str


def load_limits(path: Path | None) -> Limits:
    """The defaults with a file's values in their place.

    Raises:
        ConfigError: If the file is no TOML, or names a limit that does not exist or is no number.
    """
    if path is None:
        return Limits()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}); expected limits of gates") from None
    known = {field.name for field in fields(Limits)}
    for key, value in values.items():
        if key not in known or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ConfigError(
                f"{path}: {key} = {value!r}; expected numbers of at least 0 for {', '.join(sorted(known))}"
            )
    return Limits(**values)


def check(candidate: Path, current: Path | None, test: Sequence[Path], limits: Limits) -> list[Gate]:
    """Runs all gates.

    Args:
        candidate: A model folder.
        current: The one it would replace, None where there is none.
        test: Annotated paragraphs that no model learns from.

    Raises:
        PolicytagError: If the test cannot be read or the current model is damaged. A damaged candidate fails a gate.
    """
    try:
        new = Tagger.load(candidate)
        for form in new.artifact.graphs:
            Tagger.load(candidate, engine=form)
    except PolicytagError as error:
        return [Gate("golden texts", False, str(error))]
    old = Tagger.load(current) if current else None
    rows = annotations.read(test, new.taxonomy)
    bootstrap = Bootstrap.draw([row.doc for row in rows], limits.resamples, 1)
    gates = [
        Gate("golden texts", True, "the recorded answers are given"),
        _unseen(candidate, test),
        _floors(new, rows, limits),
        _parity(new, [row.text for row in rows]),
    ]
    if old:
        gates += [_no_worse(new, old, rows, bootstrap, limits), _latency(new, old, [row.text for row in rows], limits)]
    return gates


def decisions(tagger: Tagger, texts: Sequence[str]) -> NDArray[np.bool_]:
    """The labels a model assigns. Shape: ``(n, L) bool``."""
    logits, _ = tagger.logits(texts)
    calibration = tagger.artifact.calibration
    return decide(probabilities(logits, calibration.temperature), calibration.thresholds)


def _unseen(candidate: Path, test: Sequence[Path]) -> Gate:
    learnt = set(_learnt_files(candidate).values())
    seen = [str(path) for path in test if artifact.sha256(path) in learnt]
    detail = f"the model learnt from {', '.join(seen)}" if seen else "no file of the test was learnt from"
    return Gate("test unseen", not seen, detail)


def _learnt_files(folder: Path) -> Mapping[str, str]:
    """SHA-256 by name of what a model learnt from; models made before this was noted name nothing."""
    path = folder / "metrics.json"
    report: Mapping[str, Any] = artifact.read_json(path) if path.is_file() else {}
    return report.get("data", {}).get("learnt_from", {})


def _floors(tagger: Tagger, rows: Sequence[Annotation], limits: Limits) -> Gate:
    gold, chosen = gold_matrix(rows), decisions(tagger, [row.text for row in rows])
    counts = np.stack([(gold & chosen).sum(0), (~gold & chosen).sum(0), (gold & ~chosen).sum(0)]).astype(float)
    scores, support = metrics.f1(counts), gold.sum(axis=0)
    watched = [i for i in range(len(tagger.taxonomy)) if support[i] >= limits.min_support]
    low = [f"{tagger.taxonomy.ids[i]} {scores[i]:.3f}" for i in watched if not scores[i] >= limits.label_floor]
    detail = f"{len(watched)} labels with {limits.min_support} positives, floor {limits.label_floor:g}"
    return Gate("label floors", not low, f"{detail}; below: {', '.join(low)}" if low else detail)


def _parity(tagger: Tagger, texts: Sequence[str]) -> Gate:
    folder = tagger.artifact.folder
    settings = config.load(None, **asdict(tagger.artifact.manifest.recipe))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            start = finetune.prepare(str(folder), tagger.taxonomy, settings, Path(scratch))
            gap = export.check_parity(start, tagger.artifact.graphs["fp32"], list(texts))
        except PolicytagError as error:
            return Gate("parity", False, str(error))
    return Gate("parity", True, f"torch and ONNX Runtime differ by at most {gap:.1e} in a logit")


def _no_worse(new: Tagger, old: Tagger, rows: Sequence[Annotation], bootstrap: Bootstrap, limits: Limits) -> Gate:
    """Paired bootstrap over documents, on the labels that both models have."""
    shared = [label for label in new.taxonomy.ids if label in old.taxonomy]
    texts = [row.text for row in rows]
    columns = [new.taxonomy.column(label) for label in shared]
    gold = gold_matrix(rows)[:, columns]
    ours = bootstrap.counts(gold, decisions(new, texts)[:, columns])
    theirs = bootstrap.counts(gold, decisions(old, texts)[:, [old.taxonomy.column(label) for label in shared]])
    gain = float(metrics.macro_f1(ours.sum(axis=1)) - metrics.macro_f1(theirs.sum(axis=1)))
    low, high = metrics.interval(
        metrics.macro_f1(bootstrap.resample(ours)) - metrics.macro_f1(bootstrap.resample(theirs))
    )
    detail = (
        f"macro-F1 {gain:+.3f} against {old.version} ({low:+.3f} to {high:+.3f}), lowest allowed -{limits.max_drop:g}"
    )
    return Gate("no worse", high >= 0 and gain >= -limits.max_drop, detail)


def _latency(new: Tagger, old: Tagger, texts: Sequence[str], limits: Limits) -> Gate:
    """Median milliseconds of one paragraph, both models timed in turns."""
    sample = texts[:: max(1, len(texts) // TIMED_TEXTS)]
    taken: dict[str, list[float]] = {"new": [], "old": []}
    for _ in range(ROUNDS):
        for text in sample:
            for name, tagger in (("old", old), ("new", new)):
                start = time.perf_counter()
                tagger.logits([text])
                taken[name].append(time.perf_counter() - start)
    ours, theirs = (1000 * float(np.median(taken[name])) for name in ("new", "old"))
    detail = f"{ours:.1f} ms a paragraph, the current model {theirs:.1f} ms, at most {limits.max_slowdown:g} times that"
    return Gate("latency", ours <= limits.max_slowdown * theirs, detail)
