"""The teacher: a transformer with today's usual parts, for masked tokens first and labels then.

Norms come before the layers and have no weights, positions are rotations (Su et al. 2021, arXiv:2104.09864), queries
and keys are normed (Henry et al. 2020, arXiv:2010.04245), and each label attends to the tokens in its own way
(Mullenbach et al. 2018, arXiv:1802.05695). It never serves, so it need not be a network that `transformers` knows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own convention
from torch import Tensor, nn

from policytag.errors import InputError
from training.distillation.attention import attend, fused, linear
from training.distillation.batches import Batch

HEAD_SIZE = 64
MAX_SCORE = 20.0
"""Of a token for a label, before the exponential."""
PRIOR = -2.5
"""Logit of a label before anything is learnt."""


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x.float(), (x.shape[-1],))


@fused
def _embed(tokens: Tensor, embedding: Tensor) -> Tensor:
    return _norm(F.embedding(tokens, embedding))


@fused
def _heads(x: Tensor, weight: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Queries, keys and values. Shape: ``(3, t, heads, size)``."""
    joint = linear(_norm(x), weight)
    query, key, value = joint.view(len(x), 3, -1, HEAD_SIZE).unbind(1)

    def turned(y: Tensor) -> Tensor:
        left, right = _norm(y).chunk(2, dim=-1)
        return torch.cat([left * cosine - right * sine, left * sine + right * cosine], dim=-1).to(joint.dtype)

    return torch.stack([turned(query), turned(key), value])


@fused
def _rest(x: Tensor, attended: Tensor, out: Tensor, up: Tensor, down: Tensor, dropout: float) -> Tensor:
    x = x + F.dropout(linear(attended.flatten(1), out).float(), dropout, dropout > 0)
    inner = F.gelu(linear(_norm(x), up))
    return x + F.dropout(linear(inner, down).float(), dropout, dropout > 0)


@fused
def _masked_loss(x: Tensor, places: Tensor, were: Tensor, embedding: Tensor, bias: Tensor) -> Tensor:
    return F.cross_entropy(linear(_norm(x[places]), embedding, bias).float(), were)


class Layer(nn.Module):
    """Weights of a layer; there are no biases."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.heads = nn.Parameter(torch.randn(3 * hidden, hidden) * 0.7 * hidden**-0.5)
        self.out = nn.Parameter(torch.zeros(hidden, hidden))
        self.up = nn.Parameter(torch.randn(4 * hidden, hidden) * 0.7 * hidden**-0.5)
        self.down = nn.Parameter(torch.zeros(hidden, 4 * hidden))


class Teacher(nn.Module):
    """The network.

    Args:
        vocabulary: Number of tokens.
        hidden: A multiple of `HEAD_SIZE`.
        layers: Number of layers.
        labels: Number of labels.
        known: Token vectors of another network, shape ``(vocabulary, any)``, that the first dimensions start from.
    """

    def __init__(self, vocabulary: int, hidden: int, layers: int, labels: int, known: Tensor | None = None) -> None:
        super().__init__()
        if hidden % HEAD_SIZE:
            raise InputError(f"--hidden {hidden}; expected a multiple of {HEAD_SIZE}")
        embedding = torch.randn(vocabulary, hidden) * 0.03
        if known is not None:
            centred = known.float() - known.float().mean(dim=0)
            embedding[:, : known.shape[1]] = (centred / centred.std() * 0.04)[:, :hidden]
        self.embedding = nn.Parameter(embedding)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.layers = nn.ModuleList(Layer(hidden) for _ in range(layers))
        self.query = nn.Parameter(torch.zeros(labels, hidden))
        self.value = nn.Parameter(torch.randn(labels, hidden) * 0.02)
        self.prior = nn.Parameter(torch.full((labels,), PRIOR))

    @property
    def matrices(self) -> list[nn.Parameter]:
        """The weights of the layers, all of them matrices."""
        return list(self.layers.parameters())

    def forward(self, batch: Batch, dropout: float = 0.0) -> Tensor:
        """Shape: ``(t, hidden)``."""
        x = _embed(batch.tokens, self.embedding)
        half = torch.arange(0, HEAD_SIZE, 2, device=x.device) / HEAD_SIZE
        angle = batch.positions[:, None, None] * 10_000.0**-half
        cosine, sine = angle.cos(), angle.sin()
        for layer in self.layers:
            query, key, value = _heads(x, layer.heads, cosine, sine).unbind(0)
            x = _rest(x, attend(query, key, value, batch), layer.out, layer.up, layer.down, dropout)
        return x

    def masked_loss(self, batch: Batch, places: Tensor, were: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens at ``places``, shape ``(m,)``, that ``were`` there."""
        return _masked_loss(self(batch), places, were, self.embedding, self.bias)

    def logits(self, batch: Batch, *, whole: bool, dropout: float = 0.0) -> Tensor:
        """One row a text: each label's attention runs over the ``whole`` text, or over each window, and the largest
        logit counts. Shape: ``(n, L) float32``."""
        x = _norm(self(batch, dropout))
        score = (linear(x, self.query).float() * x.shape[1] ** -0.5).clamp(-MAX_SCORE, MAX_SCORE).exp()
        value = linear(x, self.value, self.prior).float()
        where, number = (batch.owner[batch.window], batch.num_texts + 1) if whole else (batch.window, len(batch.owner))
        zeros = score.new_zeros(number, score.shape[1])
        mean = zeros.index_add(0, where, score * value) / zeros.index_add(0, where, score).clamp_min(1e-30)
        return mean[: batch.num_texts] if whole else batch.largest(mean)
