"""``policytag-train leave-one-out``: each document of a small set tagged by a model that did not see it.

For a set too small to be split: figures are pooled over its documents. Knows nothing of artifacts; no model is kept.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policytag.calibration import decide, probabilities
from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import annotations, finetune, fit, metrics
from training.annotations import Annotation, gold_matrix, target_matrix
from training.config import Config
from training.report import GROUP_NAMES, label_table, with_interval

log = logging.getLogger(__name__)

START_CHARS = 24
"""Characters of a wrongly tagged paragraph that the report shows."""


def run(
    files: Sequence[Path], test_files: Sequence[Path], encoder: str, labels: Path, config: Config
) -> dict[str, Any]:
    """Fits one model for each document of ``test_files`` and pools what they say.

    Rows of ``files`` that belong to a tested document are left out. Temperature and thresholds of each model are fitted
    on documents held out of what it learns from.

    Returns:
        ``{"documents": {doc: figures}, "model": as in metrics.score, "wrong": [{"id", "start", "missing", "extra"}]}``.

    Raises:
        PolicytagError: On bad input.
    """
    taxonomy = fit.load_taxonomy(labels)
    tests = annotations.read(test_files, taxonomy)
    docs = annotations.documents(tests)
    if len(docs) < 2:
        raise InputError(f"{', '.join(map(str, test_files))}: {len(docs)} document; expected at least 2")
    others = [row for row in annotations.read(files, taxonomy) if row.doc not in set(docs)]
    probability = np.empty((len(tests), len(taxonomy)), dtype=np.float32)
    chosen = np.empty(probability.shape, dtype=np.bool_)
    for number, doc in enumerate(docs, start=1):
        log.info("document %d of %d", number, len(docs))
        here = np.array([row.doc == doc for row in tests])
        pool = others + [row for row in tests if row.doc != doc]
        texts = [row.text for row in tests if row.doc == doc]
        probability[here], chosen[here] = _tag(pool, texts, encoder, taxonomy, config)
    return _report(tests, chosen, probability, taxonomy, config) | {"encoder": fit.encoder_name(encoder)}


def _tag(
    rows: Sequence[Annotation], texts: Sequence[str], encoder: str, taxonomy: Taxonomy, config: Config
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities and decisions of a model trained on ``rows``. Shape: ``(n, L)`` both."""
    held_out, train = fit.split(rows, config)
    with tempfile.TemporaryDirectory() as scratch:
        start = finetune.prepare(encoder, taxonomy, config, Path(scratch))
        finetune.train(start, [row.text for row in train], target_matrix(train), config)
        logits = finetune.predict(start, [row.text for row in held_out])
        calibration = fit.calibrate(logits, gold_matrix(held_out), config)
        probability = probabilities(finetune.predict(start, texts), calibration.temperature)
    return probability, decide(probability, calibration.thresholds)


def _report(
    tests: Sequence[Annotation],
    chosen: NDArray[np.bool_],
    probability: NDArray[np.float32],
    taxonomy: Taxonomy,
    config: Config,
) -> dict[str, Any]:
    gold = gold_matrix(tests)
    docs = [row.doc for row in tests]
    bootstrap = metrics.Bootstrap.draw(docs, config.resamples, config.seed)
    counts = bootstrap.counts(gold, chosen)
    names = sorted(set(docs))  # the order of the bootstrap's documents
    return {
        "documents": {
            doc: {"paragraphs": docs.count(doc), "micro_f1": round(float(metrics.micro_f1(counts[:, i])), 4)}
            for i, doc in enumerate(names)
        },
        "model": metrics.score(gold, chosen, probability, taxonomy, bootstrap),
        "wrong": _wrong(tests, gold, chosen, taxonomy.ids),
        "seed": config.seed,
    }


def _wrong(
    tests: Sequence[Annotation], gold: NDArray[np.bool_], chosen: NDArray[np.bool_], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """The paragraphs with a missing or an extra label."""
    return [
        {
            "id": row.id,
            "start": " ".join(row.text.split())[:START_CHARS],
            "missing": [label for label, miss in zip(ids, right & ~said, strict=True) if miss],
            "extra": [label for label, more in zip(ids, said & ~right, strict=True) if more],
        }
        for row, right, said in zip(tests, gold, chosen, strict=True)
        if (right != said).any()
    ]


def render(report: Mapping[str, Any]) -> str:
    """Figures as plain text, wrong tags last."""
    lines = [f"{len(report['documents'])} documents, each tagged by a model trained without it", ""]
    lines += [
        f"{doc:<40}{f['paragraphs']:>5} paragraphs  micro-F1 {f['micro_f1']:.3f}"
        for doc, f in report["documents"].items()
    ]
    lines.append("")
    lines += [
        f"{GROUP_NAMES[name]:<24}macro-F1 {with_interval(f, 'macro_f1')}  micro-F1 {f['micro_f1']:.3f}"
        for name, f in report["model"]["groups"].items()
    ]
    lines += ["", *label_table(report["model"]["labels"]), "", f"{len(report['wrong'])} paragraphs with a wrong tag"]
    lines += [f"{row['id']}  {_changes(row)}  {row['start']}" for row in report["wrong"]]
    return "\n".join(lines) + "\n"


def page(report: Mapping[str, Any]) -> str:
    """The same as a Markdown page."""
    figures = ["| labels | macro-F1 (95 % interval) | micro-F1 |", "|---|---:|---:|"]
    figures += [
        f"| {GROUP_NAMES[name]} | {with_interval(f, 'macro_f1')} | {f['micro_f1']:.3f} |"
        for name, f in report["model"]["groups"].items()
    ]
    labels = ["| label | precision | recall | F1 | positives |", "|---|---:|---:|---:|---:|"]
    labels += [
        f"| `{label}` | {f['precision']:.3f} | {f['recall']:.3f} | {f['f1']:.3f} | {f['support']} |"
        for label, f in report["model"]["labels"].items()
    ]
    wrong = ["| paragraph | begins | missing and extra tags |", "|---|---|---|"]
    wrong += [f"| {r['id']} | {r['start'].replace('|', '¦')} | {_changes(r)} |" for r in report["wrong"]]
    head = (
        f"# Leave one document out\n\n{len(report['documents'])} documents, each tagged by a model trained without it; "
        f"encoder {report['encoder']}, seed {report['seed']}. The intervals are a bootstrap over these few documents."
    )
    title = f"## Wrong tags ({len(report['wrong'])} paragraphs)"
    return "\n\n".join([head, "\n".join(figures), "\n".join(labels), title, "\n".join(wrong)]) + "\n"


def _changes(row: Mapping[str, Any]) -> str:
    """``-talent +platform``"""
    return " ".join([*(f"-{label}" for label in row["missing"]), *(f"+{label}" for label in row["extra"])])
