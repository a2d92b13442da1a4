"""``python -m bench.pretraining``: a step of this project's pretraining beside one of a plain loop, in turns.

Plain: ``BertForMaskedLM`` in float32, a batch padded to its longest passage, logits of every position. This project's
step does more, a contrast of neighbouring passages besides the masked tokens. Both get the same passages; tokens are
those that are no padding.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers import BertForMaskedLM

from bench.timing import in_turns
from training.pretraining.config import Inputs, load_config
from training.pretraining.operation import prepare
from training.pretraining.run import TRAIN, Run, make_batch, make_optimizer, train_step


def main() -> None:
    """Measures and prints both rates and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m bench.pretraining")
    add = parser.add_argument
    add("--text", type=Path, nargs="+", default=[Path("labels/corpus")])
    add("--encoder", default="models/encoder", help="whose architecture and tokenizer are used [%(default)s]")
    add("--pairs", type=int, default=64)
    add("--rounds", type=int, default=5)
    add("--out", type=Path, default=Path("bench/results/pretraining.json"))
    args = parser.parse_args()
    settings = replace(load_config(None), batch_pairs=args.pairs, max_steps=10_000)
    with tempfile.TemporaryDirectory() as work:
        inputs = Inputs(text=args.text, out=Path(work) / "out", work=Path(work), encoder=args.encoder)
        run = prepare(settings, inputs, Accelerator())
        run.model.train()
        tokens = sum(int(part.attention.sum()) for part in make_batch(run, 0, TRAIN))
        timings = in_turns({"policytag": _ours(run), "plain": _plain(run, args.encoder)}, args.rounds)
    rates = {name: timing.rates(tokens) for name, timing in timings.items()}
    result = {"tokens_per_second": rates, "ratio": timings["policytag"].median / timings["plain"].median}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _ours(run: Run) -> Callable[[], object]:
    return lambda: train_step(run, run.model, make_batch(run, 0, TRAIN))


def _plain(run: Run, encoder: str) -> Callable[[], object]:
    model = BertForMaskedLM.from_pretrained(encoder, dtype=torch.float32).train()
    optimizer = make_optimizer(model, run.settings)
    whole = replace(run, settings=replace(run.settings, micro_batches=1))

    def step() -> None:
        [part] = make_batch(whole, 0, TRAIN)
        labels = torch.full((part.ids.size,), -100)
        labels[torch.from_numpy(part.masked)] = torch.from_numpy(part.labels)
        ids, attention = torch.from_numpy(part.ids), torch.from_numpy(part.attention)
        model(input_ids=ids, attention_mask=attention, labels=labels.view(ids.shape)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), run.settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
