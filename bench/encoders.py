"""``python -m bench.encoders``: what encoders are worth, each fine-tuned by one fixed recipe with several seeds.

Beside them: the same network with random weights, and the TF-IDF baseline, on the same rows. Every encoder gets a new
head, also one that knows the labels. Temperature and thresholds come from documents held out of the rows to learn from.
Runs that are in ``--out`` already are not repeated, so that a killed comparison goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import BertForSequenceClassification

from policytag.calibration import decide, probabilities
from policytag.taxonomy import Taxonomy
from training import annotations, baseline, config, finetune, fit, metrics
from training.annotations import Annotation, gold_matrix, target_matrix
from training.config import Config

log = logging.getLogger("bench")

RANDOM, TFIDF = "random weights", "TF-IDF"


@dataclass(frozen=True, slots=True)
class Data:
    """Rows to learn from, of other documents to calibrate on, and to measure on."""

    train: list[Annotation]
    held_out: list[Annotation]
    dev: list[Annotation]


def main() -> None:
    """Fine-tunes every encoder with every seed, then prints the table of what is in ``--out``."""
    args = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    taxonomy = fit.load_taxonomy(args.labels)
    settings = replace(config.load(args.config), keep_start=0.0)
    encoders = dict(entry.split("=", 1) for entry in args.encoder)
    encoders[RANDOM] = next(iter(encoders.values()))
    rows, dev = annotations.read(args.annotations, taxonomy), annotations.read(args.dev, taxonomy)
    number = args.paragraphs or len(rows)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, Any] = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    for seed in range(1, args.seeds + 1):
        data = draw(rows, dev, args.paragraphs, replace(settings, seed=seed))
        for name in (TFIDF, *encoders):
            key = f"{name}, seed {seed}, {number} paragraphs"
            if key in done:
                continue
            began = time.perf_counter()
            chosen, scores = _decisions(name, encoders.get(name, ""), data, taxonomy, replace(settings, seed=seed))
            done[key] = {
                "name": name, "seed": seed, "paragraphs": number, "seconds": time.perf_counter() - began,
                "map": float(np.nanmean(metrics.average_precision(gold_matrix(dev), scores))),
                "chosen": [[int(c) for c in np.flatnonzero(row)] for row in chosen],
            }  # fmt: skip
            log.info("%s: mAP %.3f, %.0f s", key, done[key]["map"], done[key]["seconds"])
            args.out.write_text(json.dumps(done, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(list(done.values()), dev, taxonomy, against=args.against))


def draw(rows: Sequence[Annotation], dev: list[Annotation], number: int | None, settings: Config) -> Data:
    """Splits ``rows`` by document; of those to learn from, ``number`` at random, of the others in proportion."""
    held_out, train = fit.split(rows, settings)
    if number is not None:
        generator = np.random.default_rng(settings.seed)
        share = number / len(train)
        train = [train[i] for i in sorted(generator.permutation(len(train))[:number])]
        held_out = [held_out[i] for i in sorted(generator.permutation(len(held_out))[: round(share * len(held_out))])]
    return Data(train, held_out, dev)


def _decisions(
    name: str, source: str, data: Data, taxonomy: Taxonomy, settings: Config
) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    """Decisions and scores on the rows to measure on. Shape: ``(n, L)`` both."""
    words, questions = [row.text for row in data.train], [row.text for row in data.dev]
    if name == TFIDF:
        distances = baseline.scores(words, gold_matrix(data.train), questions, settings)
        return distances > 0, distances
    with tempfile.TemporaryDirectory() as scratch:
        start = finetune.prepare(source, taxonomy, settings, Path(scratch))
        model = BertForSequenceClassification(start.model.config)
        if name != RANDOM:
            model.bert.load_state_dict(start.model.bert.state_dict())
        start.model.load_state_dict(model.state_dict())
        finetune.train(start, words, target_matrix(data.train), settings)
        held_out = finetune.predict(start, [row.text for row in data.held_out])
        logits = finetune.predict(start, questions)
    calibration = fit.calibrate(held_out, gold_matrix(data.held_out), settings)
    probability = probabilities(logits, calibration.temperature)
    return decide(probability, calibration.thresholds), probability


def table(runs: Sequence[dict[str, Any]], dev: list[Annotation], taxonomy: Taxonomy, against: str) -> str:
    """Means over seeds in Markdown; intervals from documents drawn anew, the same ones for all."""
    bootstrap = metrics.Bootstrap.draw([row.doc for row in dev], 1000, 1)
    gold = gold_matrix(dev)
    points: dict[tuple[int, str], list[float]] = {}
    samples: dict[tuple[int, str], list[NDArray[np.float64]]] = {}
    precision: dict[tuple[int, str], list[float]] = {}
    for run in runs:
        chosen = np.zeros_like(gold)
        for i, columns in enumerate(run["chosen"]):
            chosen[i, columns] = True
        counts, key = bootstrap.counts(gold, chosen), (run["paragraphs"], run["name"])
        points.setdefault(key, []).append(float(metrics.macro_f1(counts.sum(axis=1))))
        samples.setdefault(key, []).append(metrics.macro_f1(bootstrap.resample(counts)))
        precision.setdefault(key, []).append(run["map"])
    lines = [
        f"| paragraphs | encoder | macro-F1 of each seed | mean (95 %) | minus {against} (95 %) | mAP |",
        "|---|---|---|---|---|---|",
    ]
    for key, own in points.items():
        paragraphs, name = key
        other, drawn = (paragraphs, against), np.mean(samples[key], axis=0)
        low, high = metrics.interval(drawn)
        compared = name != against and other in points
        lead = _lead(own, points[other], drawn - np.mean(samples[other], axis=0)) if compared else ""
        lines.append(
            f"| {paragraphs:,} | {name} | {', '.join(f'{p:.3f}' for p in own)} "
            f"| {np.mean(own):.3f} ({low:.3f} to {high:.3f}) | {lead} | {np.mean(precision[key]):.3f} |"
        )
    return "\n".join(lines)


def _lead(ours: list[float], theirs: list[float], samples: NDArray[np.float64]) -> str:
    low, high = metrics.interval(samples)
    return f"{np.mean(ours) - np.mean(theirs):+.3f} ({low:+.3f} to {high:+.3f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.encoders", description=__doc__)
    add = parser.add_argument
    add("--annotations", type=Path, nargs="+", required=True, metavar="FILE")
    add("--dev", type=Path, nargs="+", required=True, metavar="FILE")
    add("--encoder", nargs="+", default=["models/encoder=models/encoder"], metavar="NAME=FOLDER")
    add("--against", default=TFIDF, metavar="NAME", help="what the others are compared with [%(default)s]")
    add("--paragraphs", type=int, metavar="N", help="learn from so many of the rows only")
    add("--seeds", type=int, default=3)
    add("--config", type=Path, metavar="FILE.toml", help="the recipe, as for policytag-train fit")
    add("--labels", type=Path, default=Path("labels"))
    add("--out", type=Path, default=Path("bench/results/encoders.json"), help="runs, finished and to come")
    return parser.parse_args()


if __name__ == "__main__":
    main()
