"""What both networks compute with: attention within windows, and functions fused for the GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own convention
from torch import Tensor

from training.distillation.batches import Batch


def fused(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compiles a function whose first argument is a tensor when that is on a GPU; on a CPU it runs as it is.

    Element by element such a function waits for memory; compiled, it goes through it once.
    """
    compiled: list[Callable[..., Tensor]] = []

    @wraps(function)
    def call(first: Tensor, *rest: object) -> Tensor:
        if not first.is_cuda:
            return function(first, *rest)
        if not compiled:
            compiled.append(torch.compile(function, dynamic=False))
        return compiled[0](first, *rest)

    return call


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer, in bfloat16 on a GPU. Shape: ``(t, a)``, ``(b, a)``, ``(b,)`` -> ``(t, b)``."""
    if x.is_cuda:
        x, weight, bias = x.bfloat16(), weight.bfloat16(), None if bias is None else bias.bfloat16()
    return F.linear(x, weight, bias)


def attend(query: Tensor, key: Tensor, value: Tensor, batch: Batch) -> Tensor:
    """Every token attends to all tokens of its window. Shape: ``(t, heads, size)`` each -> the same."""
    if query.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        bounds, longest = batch.bounds, batch.longest
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
        found = varlen_attn(query, key, value, bounds, bounds, longest, longest)
        assert isinstance(found, Tensor)
        return found
    sizes = batch.bounds.diff().tolist()
    parts = (x.transpose(0, 1).split(sizes, dim=1) for x in (query, key, value))
    found = [F.scaled_dot_product_attention(*window) for window in zip(*parts, strict=True)]
    return torch.cat(found, dim=1).transpose(0, 1)
