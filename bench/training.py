"""``python -m bench.training``: fine-tuning and pretraining beside plain loops over the same rows and steps.

Fine-tuning: this project's ``fit`` against ``transformers.Trainer`` as its documentation shows it: float32, rows in
random order, each padded to the longest of its batch. Quality: macro-F1 at 0.5 on held-out documents, since equal time
for worse is nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import BertForSequenceClassification, TrainingArguments

from policytag.calibration import decide, sigmoid
from policytag.encoding import pad
from training import annotations, config, finetune, fit, metrics
from training.annotations import Annotation, gold_matrix, target_matrix
from training.config import Config
from training.finetune import Start

log = logging.getLogger("bench")


def main() -> None:
    """Measures fine-tuning and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.training")
    add = parser.add_argument
    add("--annotations", type=Path, nargs="+", default=[Path("labels/annotations/authored.jsonl")])
    add("--encoder", default="models/encoder")
    add("--labels", type=Path, default=Path("labels"))
    add("--rows", type=int, default=3360)
    add("--epochs", type=float, default=1.0)
    add("--rounds", type=int, default=1)
    add("--out", type=Path, default=Path("bench/results/training.json"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = replace(config.load(None), epochs=args.epochs, keep_start=0.0, learning_rate=5e-4)
    taxonomy = fit.load_taxonomy(args.labels)
    held_out, rows = fit.split(annotations.read(args.annotations, taxonomy), settings)
    rows = (rows * (1 + args.rows // len(rows)))[: args.rows]
    seconds: dict[str, list[float]] = {"policytag fit": [], "plain Trainer loop": []}
    scores: dict[str, list[float]] = {name: [] for name in seconds}
    for number in range(args.rounds):
        for name, train in (("policytag fit", _ours), ("plain Trainer loop", _plain)):
            with tempfile.TemporaryDirectory() as scratch:
                start = finetune.prepare(args.encoder, taxonomy, replace(settings, seed=number), Path(scratch))
                began = time.perf_counter()
                train(start, rows, replace(settings, seed=number))
                seconds[name].append(time.perf_counter() - began)
                scores[name].append(_macro_f1(start, held_out))
            log.info("%s: %.1f s, macro-F1 %.3f", name, seconds[name][-1], scores[name][-1])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result: dict[str, Any] = {
        "rows": len(rows), "epochs": args.epochs, "seconds": seconds, "macro_f1_at_half": scores,
        "ratio": medians["policytag fit"] / medians["plain Trainer loop"],
    }  # fmt: skip
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _ours(start: Start, rows: list[Annotation], settings: Config) -> None:
    finetune.train(start, [row.text for row in rows], target_matrix(rows), settings)


def _plain(start: Start, rows: list[Annotation], settings: Config) -> None:
    """The Trainer with its defaults: float32, random order, the library's attention."""
    transformers.set_seed(settings.seed)
    windows, owners, _ = start.encoder.windows([row.text for row in rows])
    targets = target_matrix(rows)[owners]
    dataset = [{"input_ids": w, "labels": t} for w, t in zip(windows, targets, strict=True)]

    def collate(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = map(torch.from_numpy, pad([e["input_ids"] for e in examples], start.encoder.pad_id))
        labels = torch.from_numpy(np.stack([e["labels"] for e in examples]))
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    model: BertForSequenceClassification = start.model
    model.set_attn_implementation("sdpa")
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch, num_train_epochs=settings.epochs, per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate, warmup_steps=settings.warmup_share,
            weight_decay=settings.weight_decay, use_cpu=True,
            save_strategy="no", report_to="none", disable_tqdm=True, seed=settings.seed,
        )  # fmt: skip
        transformers.Trainer(model=model, args=arguments, train_dataset=dataset, data_collator=collate).train()  # type: ignore[arg-type]
    model.set_attn_implementation("eager")


def _macro_f1(start: Start, rows: list[Annotation]) -> float:
    gold = gold_matrix(rows)
    chosen = decide(sigmoid(finetune.predict(start, [row.text for row in rows])), [0.5] * gold.shape[1])
    cells = np.stack([(gold & chosen).sum(0), (~gold & chosen).sum(0), (gold & ~chosen).sum(0)]).astype(np.float64)
    return float(metrics.macro_f1(cells))


if __name__ == "__main__":
    main()
