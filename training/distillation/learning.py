"""The loops: masked tokens, labels and probabilities. Knows neither files nor where texts come from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own convention
from numpy.typing import NDArray
from torch import Tensor, nn

from policytag.errors import PolicytagError
from training.distillation.batches import Batch, Loader, Stream, lots
from training.distillation.texts import Windows

log = logging.getLogger(__name__)

LOG_STEPS = 200
CLIP_NORM = 1.0
MATRIX_DECAY, OTHER_DECAY = 0.05, 0.01


class DistillationError(PolicytagError):
    """A loss that is no longer a number."""


class Optimiser:
    """Muon for some matrices, if there are any, and AdamW for everything else, on one schedule.

    Muon: Jordan et al. 2024; its updates are scaled as AdamW's would be (Liu et al. 2025, arXiv:2502.16982), so that
    both take rates of the same size.

    Args:
        matrices: The weights that Muon changes.
        rate: Its peak learning rate.
        others: The other weights, each group with its own.
    """

    def __init__(
        self, matrices: Sequence[nn.Parameter], rate: float, others: Sequence[tuple[Iterable[nn.Parameter], float]]
    ) -> None:
        groups = []
        for parameters, peak in others:
            parts = list(parameters)
            groups += [
                {"params": [p for p in parts if (p.ndim > 1) == decayed], "lr": peak, "peak": peak,
                 "weight_decay": OTHER_DECAY * decayed}
                for decayed in (True, False)
            ]  # fmt: skip
        self._others = [p for group in groups for p in group["params"]]
        self._parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)]
        if matrices:
            muon = torch.optim.Muon(
                matrices, lr=rate, weight_decay=MATRIX_DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw"
            )
            muon.param_groups[0]["peak"] = rate
            self._parts.append(muon)

    def step(self, loss: Tensor, factor: float) -> None:
        """Goes one step down the loss's gradient, at this share of the peak rates."""
        loss.backward()
        nn.utils.clip_grad_norm_(self._others, CLIP_NORM)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = group["peak"] * factor
            part.step()
            part.zero_grad(set_to_none=True)


def factor(progress: float, warm: float, fall: float) -> float:
    """Share of the peak rate: up within ``warm`` of the steps, down to nothing in the last ``fall`` of them.

    With 0.1 and 0.5: a half at 0.05, 1 at 0.3, a half at 0.75.
    """
    return max(0.0, min(1.0, progress / warm, (1 - progress) / fall))


class _Progress:
    """Logs every `LOG_STEPS` steps; looks at the loss only then, since that waits for the device."""

    def __init__(self, name: str, steps: int, tokens: int) -> None:
        self._name, self._steps, self._tokens = name, steps, tokens
        self._started, self._since, self._step = time.monotonic(), 0, 0
        self._total: Tensor | None = None

    def add(self, loss: Tensor) -> None:
        self._total = loss.detach() if self._total is None else self._total + loss.detach()
        self._since += 1
        self._step += 1
        if self._since == LOG_STEPS or self._step == self._steps:
            mean = float(self._total) / self._since
            rate = self._step * self._tokens / (time.monotonic() - self._started)
            log.info("%s: step %d of %d, loss %.5f, %.0f tokens/s", self._name, self._step, self._steps, mean, rate)
            if not np.isfinite(mean):
                raise DistillationError(f"{self._name}: the loss became {mean}; expected lower learning rates")
            self._total, self._since = None, 0


def read_masked(
    name: str, loss: Callable[[Batch, Tensor, Tensor], Tensor], optimiser: Optimiser, stream: Stream,
    *, tokens: int, share: float, passes: float, seed: int,
) -> None:  # fmt: skip
    """Masked-language modelling: ``passes`` over the stream in batches of ``tokens``, a ``share`` of them hidden."""
    steps = max(1, round(passes * len(stream) / tokens))
    progress = _Progress(name, steps, tokens)
    batches = stream.batches(tokens, share, np.random.default_rng(seed))
    for step, (batch, places, were) in zip(range(steps), batches, strict=False):
        value = loss(batch, places, were)
        optimiser.step(value, factor((step + 1) / (steps + 1), 0.02, 0.5))
        progress.add(value)


def learn(
    name: str,
    logits: Callable[[Batch], Tensor],
    optimiser: Optimiser,
    loader: Loader,
    windows: Windows,
    targets: Tensor,
    draws: Callable[[np.random.Generator], NDArray[np.int64]],
    *,
    tokens: int,
    passes: float,
    fall: float,
    seed: int,
    join: NDArray[np.bool_] | None = None,
) -> None:
    """Learns labels or probabilities by binary cross-entropy.

    Args:
        targets: Of all texts, shape ``(n, L) float32`` on the device, in [0, 1].
        draws: The texts of a pass.
        tokens: Of a batch.
        fall: Share of the steps, at the end, in which the learning rate falls to 0.
        join: Texts that may be put into one window, in pairs; half of them are in each batch. A pair has what either
            has: the larger targets.
    """
    rng = np.random.default_rng(seed)
    first = draws(rng)
    steps = max(1, round(passes * sum(1 for _ in lots(first, windows, tokens))))
    progress, step = _Progress(name, steps, tokens), 0
    while step < steps:
        for chosen in lots(first, windows, tokens, rng):
            texts, partners = (chosen, None) if join is None else pair(chosen, join, rng)
            batch = loader.load(texts, windows, tokens, partners=partners)
            wanted = targets[torch.from_numpy(texts).to(targets.device)]
            if partners is not None:
                other = torch.from_numpy(np.where(partners < 0, texts, partners)).to(targets.device)
                wanted = torch.maximum(wanted, targets[other])
            loss = F.binary_cross_entropy_with_logits(logits(batch), wanted)
            optimiser.step(loss, factor((step + 1) / (steps + 1), 0.03, fall))
            progress.add(loss)
            step += 1
            if step == steps:
                return
        first = draws(rng)


def pair(
    chosen: NDArray[np.int64], join: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Half of the texts that may be joined, in pairs drawn at random.

    Returns:
        The texts without those that stand behind another, and for each the one behind it or -1.
    """
    able = rng.permutation(np.flatnonzero(join[chosen]))
    number = len(able) // 4
    front, behind = able[:number], able[number : 2 * number]
    partners = np.full(len(chosen), -1, dtype=np.int64)
    partners[front] = chosen[behind]
    stay = np.ones(len(chosen), dtype=bool)
    stay[behind] = False
    return chosen[stay], partners[stay]


@torch.no_grad()
def predict(
    logits: Callable[[Batch], Tensor], loader: Loader, windows: Windows, count: int, tokens: int
) -> NDArray[np.float32]:
    """Logits of the first ``count`` texts. Shape: ``(count, L) float32``."""
    order = np.argsort(-windows.tokens[:count], kind="stable")
    rows = [logits(loader.load(chosen, windows, tokens)) for chosen in lots(order, windows, tokens)]
    found = torch.cat(rows).float().cpu().numpy()
    back = np.empty_like(found)
    back[order] = found
    return back
