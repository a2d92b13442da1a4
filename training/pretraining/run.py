"""A run: its state, one step of it, and the measure of it on held-out documents.

What a step does follows from the run's seed and the step's number. Knows neither files nor when to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from tokenizers import Tokenizer
from torch import Tensor, nn

from training.pretraining.batches import MicroBatch, Specials, build_batch
from training.pretraining.config import Inputs, PretrainConfig
from training.pretraining.errors import PretrainError
from training.pretraining.model import PretrainingModel, to_tensors
from training.pretraining.passages import Passages, draw_pairs
from training.pretraining.tokens import TokenCache

TRAIN, VALIDATION = 0, 1  # streams of random numbers


@dataclass
class Run:
    """A run under way: what never changes, then what a checkpoint holds."""

    settings: PretrainConfig
    inputs: Inputs
    cache: TokenCache
    passages: Passages
    tokenizer: Tokenizer
    specials: Specials
    accelerator: Accelerator
    model: PretrainingModel
    optimizer: torch.optim.Optimizer
    identity: dict[str, str]
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def learning_rate(settings: PretrainConfig, step: int) -> float:
    """Linear warm-up, then linear decay to nothing at `max_steps`; 4 steps with 2 of warm-up: 1/2, 1, 1, 1/2."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    left = (settings.max_steps - step) / max(1, settings.max_steps - settings.warmup_steps)
    return settings.learning_rate * min(warm, left)


def make_batch(run: Run, step: int, stream: int, rank: int = 0, world: int = 1) -> list[MicroBatch]:
    """The batch of a step: a function of the seed, the stream and the step alone."""
    documents = run.passages.train if stream == TRAIN else run.passages.validation
    pairs = draw_pairs(np.random.default_rng([run.settings.seed, stream, step]), documents, run.settings)
    share = np.array_split(pairs, world)[rank]
    rng = np.random.default_rng([run.settings.seed, stream, step, rank])
    return build_batch(rng, share, run.cache.ids, run.passages, run.specials, run.settings)


def make_optimizer(model: nn.Module, settings: PretrainConfig) -> torch.optim.Optimizer:
    """AdamW; no decay of biases, norms and scales."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, settings.beta2), fused=True)


def train_step(run: Run, wrapped: nn.Module, parts: Sequence[MicroBatch]) -> dict[str, Tensor]:
    """One step of the optimiser on this process's part of the batch.

    Raises:
        PretrainError: the gradient is no longer finite; nothing has been changed.
    """
    settings, accelerator = run.settings, run.accelerator
    seeds = np.random.SeedSequence([settings.seed, run.step, accelerator.process_index])
    torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))  # so that dropout needs no state to be resumed
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(settings, run.step)
    losses = wrapped(to_tensors(parts, accelerator.device))
    losses["loss"].backward()
    norm = nn.utils.clip_grad_norm_(wrapped.parameters(), settings.clip_norm)
    if not torch.isfinite(norm):
        raise PretrainError(
            f"step {run.step}: the loss is {losses['loss'].item():.4g}, its gradient not finite; stopped, the last "
            f"checkpoint in {run.inputs.work} is good; lower learning_rate or set precision to fp32"
        )
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.step += 1
    run.tokens += sum(int(part.attention.sum()) for part in parts) * accelerator.num_processes
    return {key: value.detach() for key, value in losses.items()}


@torch.no_grad()
def validate(run: Run) -> dict[str, float]:
    """Mean losses on the held-out documents, always on the same batches."""
    run.model.eval()
    sums: dict[str, float] = {"mlm": 0.0, "contrast": 0.0, "accuracy": 0.0}
    for number in range(run.settings.eval_batches):
        losses = run.model(to_tensors(make_batch(run, number, VALIDATION), run.accelerator.device))
        for key in sums:
            sums[key] += float(losses[key]) / run.settings.eval_batches
    run.model.train()
    return {f"validation_{key}": round(value, 5) for key, value in sums.items()}
