"""Whether what a model is given has changed: a run's profile against a reference. Knows no gold labels.

The measure is the population stability index, sum((p - q) * ln(p / q)) over the bins of two distributions; below 0.1
nothing has changed to speak of, above 0.25 it has (Siddiqi: Credit Risk Scorecards, 2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policytag import artifact
from policytag.encoding import Encoder
from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import jsonl

REFERENCE = "reference.json"
"""The file of a model folder with the profile of the paragraphs it was calibrated on."""
SCORE_BINS = 10
LENGTHS = (10, 20, 40, 80, 160, 320, 640)
"""Upper bounds, in characters, of the bins of lengths; the last bin has none."""
WATCH, ACT = 0.1, 0.25
UNKNOWN_ACT = 0.01
"""Share of unknown tokens, if it is twice the reference's too, from which texts are of another kind or garbled."""
MIN_PARAGRAPHS = 200
"""Paragraphs below which chance alone moves the index."""
_FLOOR = 1e-4
"""Lowest share of a bin: an empty one would make the index infinite."""

Profile = Mapping[str, Any]


def profile(
    probability: NDArray[np.floating],
    chosen: NDArray[np.bool_],
    lengths: Sequence[int],
    unknown: float,
    taxonomy: Taxonomy,
) -> dict[str, Any]:
    """What a set of paragraphs looks like to a model.

    Args:
        probability: Shape ``(n, L)``.
        chosen: Shape ``(n, L) bool``.
        lengths: Characters of each text; empty where the texts are not known.
        unknown: Share of unknown tokens, in [0, 1].

    Returns:
        ``{"paragraphs", "rates": {label id: share}, "scores": {label id: counts}, "lengths": counts, "unknown"}``.
    """
    bins = np.minimum((np.asarray(probability) * SCORE_BINS).astype(int), SCORE_BINS - 1)
    return {
        "paragraphs": len(chosen),
        "rates": {label: round(float(chosen[:, i].mean()), 5) for i, label in enumerate(taxonomy.ids)},
        "scores": {
            label: np.bincount(bins[:, i], minlength=SCORE_BINS).tolist() for i, label in enumerate(taxonomy.ids)
        },
        "lengths": np.bincount(np.searchsorted(LENGTHS, lengths), minlength=len(LENGTHS) + 1).tolist(),
        "unknown": round(unknown, 6),
    }


def unknown_share(encoder: Encoder, texts: Sequence[str]) -> float:
    """Share of [UNK] among the tokens of texts, [CLS] and [SEP] left out; 0 without texts."""
    tokens = [i for encoded in encoder.encode(texts) for window in encoded.windows for i in window[1:-1]]
    return tokens.count(encoder.unk_id) / max(len(tokens), 1)


def of_run(file: Path, model: Path) -> dict[str, Any]:
    """The profile of what ``policytag tag --scores`` wrote.

    Raises:
        InputError: If a row is of another model, or has no scores, or no row was tagged.
    """
    loaded = artifact.load(model)
    taxonomy, version = loaded.taxonomy, loaded.manifest.version
    scores: list[list[float]] = []
    chosen: list[list[bool]] = []
    texts: list[str] = []
    for place, row in jsonl.read(file):
        if row.get("status") != "ok":
            continue
        if row.get("model") != version:
            raise InputError(
                f"{place}: tagged by model {row.get('model')}; expected {version}, give its folder as --model"
            )
        if not isinstance(row.get("scores"), dict) or set(row["scores"]) != set(taxonomy.ids):
            raise InputError(f"{place}: no scores of all labels; tag with --scores")
        given = {tag["id"] for key in ("instruments", "industries") for tag in row[key]}
        scores.append([row["scores"][label] for label in taxonomy.ids])
        chosen.append([label in given for label in taxonomy.ids])
        texts += [row["text"]] if "text" in row else []
    if not scores:
        raise InputError(f"{file}: no tagged row; expected what 'policytag tag --scores' wrote")
    unknown = unknown_share(Encoder(loaded.tokenizer_file, loaded.manifest.recipe), texts)
    return profile(np.array(scores), np.array(chosen), [len(text) for text in texts], unknown, taxonomy)


def of_model(model: Path) -> dict[str, Any]:
    """The reference that ``fit`` wrote into a model folder.

    Raises:
        InputError: If the model was made before references were written.
    """
    if not (model / REFERENCE).is_file():
        raise InputError(f"{model / REFERENCE}: missing; give --reference with another run of the same model")
    return artifact.read_json(model / REFERENCE)


def compare(now: Profile, reference: Profile) -> dict[str, Any]:
    """Indices and advice.

    Returns:
        ``{"labels": {id: {"psi", "rate", "reference"}}, "lengths_psi", "unknown", "unknown_reference", "advice"}``;
        ``psi`` of a label is the larger of those of its scores and of its rate.
    """
    labels = {}
    for label, rate in now["rates"].items():
        before = reference["rates"][label]
        of_scores = psi(now["scores"][label], reference["scores"][label])
        index = max(of_scores, psi([rate, 1 - rate], [before, 1 - before]))
        labels[label] = {"psi": round(index, 4), "rate": rate, "reference": before}
    lengths = psi(now["lengths"], reference["lengths"]) if sum(now["lengths"]) and sum(reference["lengths"]) else 0.0
    found = {
        "paragraphs": now["paragraphs"],
        "labels": labels,
        "lengths_psi": round(lengths, 4),
        "unknown": now["unknown"],
        "unknown_reference": reference["unknown"],
    }
    return found | {"advice": _advice(found)}


def psi(now: Sequence[float], reference: Sequence[float]) -> float:
    """Population stability index of two histograms. Half and half that became 3 to 1: 0.25 ln 3 = 0.275."""
    p, q = (
        np.maximum(np.asarray(counts, dtype=float) / max(sum(counts), 1e-12), _FLOOR) for counts in (now, reference)
    )
    return float(((p - q) * np.log(p / q)).sum())


def _advice(found: Mapping[str, Any]) -> list[str]:
    advice = []
    if found["paragraphs"] < MIN_PARAGRAPHS:
        advice.append(f"{found['paragraphs']} paragraphs are few: wait for {MIN_PARAGRAPHS} before acting on an index")
    if found["unknown"] >= max(UNKNOWN_ACT, 2 * found["unknown_reference"]):
        advice.append("many unknown tokens: look at the texts; garbled encoding, another language or another script?")
    if found["lengths_psi"] >= ACT:
        advice.append("other lengths: are paragraphs cut otherwise, or documents of another kind coming in?")
    moved = [label for label, figures in found["labels"].items() if figures["psi"] >= ACT]
    watched = [label for label, figures in found["labels"].items() if WATCH <= figures["psi"] < ACT]
    if moved:
        advice.append(
            f"moved: {', '.join(moved)}; read fifty of their paragraphs. If the tags are right, policy has changed: "
            "use this run as --reference from now on. If not, label the paragraphs that 'suggest' picks and fit anew"
        )
    if watched:
        advice.append(f"watch: {', '.join(watched)}; compare again with the next run")
    return advice or ["nothing has changed to speak of"]


def render(found: Mapping[str, Any]) -> str:
    """Indices and advice as plain text."""
    lines = [f"{'label':<26}{'PSI':>8}{'rate':>9}{'reference':>11}"]
    for label, f in found["labels"].items():
        mark = "  moved" if f["psi"] >= ACT else "  watch" if f["psi"] >= WATCH else ""
        lines.append(f"{label:<26}{f['psi']:>8.3f}{f['rate']:>9.3f}{f['reference']:>11.3f}{mark}")
    lines.append(f"{'lengths':<26}{found['lengths_psi']:>8.3f}")
    lines.append(f"{'unknown tokens':<26}{'':>8}{found['unknown']:>9.4f}{found['unknown_reference']:>11.4f}")
    return "\n".join([*lines, "", *(f"- {line}" for line in found["advice"])]) + "\n"
