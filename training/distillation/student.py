"""The student: a ``BertForSequenceClassification`` as `transformers` has it, computed without padding."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own convention
from torch import Tensor, nn
from transformers import BertForSequenceClassification

from training.distillation.attention import attend, fused, linear
from training.distillation.batches import Batch


@fused
def _embed(
    tokens: Tensor, positions: Tensor, words: Tensor, places: Tensor, kinds: Tensor, weight: Tensor, bias: Tensor,
    epsilon: float, dropout: float,
) -> Tensor:  # fmt: skip
    total = F.embedding(tokens, words) + F.embedding(positions, places) + kinds[0]
    return F.dropout(F.layer_norm(total, weight.shape, weight, bias, epsilon), dropout, dropout > 0)


@fused
def _heads(
    x: Tensor, query: Tensor, key: Tensor, value: Tensor, of_query: Tensor, of_key: Tensor, of_value: Tensor, heads: int
) -> Tensor:
    """Queries, keys and values. Shape: ``(3, t, heads, size)``."""
    joint = linear(x, torch.cat([query, key, value]), torch.cat([of_query, of_key, of_value]))
    return joint.view(len(x), 3, heads, -1).transpose(0, 1).contiguous()


@fused
def _add(x: Tensor, y: Tensor, dense: Tensor, of_dense: Tensor, weight: Tensor, bias: Tensor, epsilon: float,
         dropout: float) -> Tensor:  # fmt: skip
    y = F.dropout(linear(y, dense, of_dense).float(), dropout, dropout > 0)
    return F.layer_norm(x + y, weight.shape, weight, bias, epsilon)


@fused
def _inner(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.gelu(linear(x, weight, bias))


def hidden(model: BertForSequenceClassification, batch: Batch, dropout: float = 0.0) -> Tensor:
    """The last layer. Shape: ``(t, hidden) float32``."""
    config, bert = model.config, model.bert
    inputs: Any = bert.embeddings
    x = _embed(
        batch.tokens, batch.positions, inputs.word_embeddings.weight, inputs.position_embeddings.weight,
        inputs.token_type_embeddings.weight, inputs.LayerNorm.weight, inputs.LayerNorm.bias,
        config.layer_norm_eps, dropout,
    )  # fmt: skip
    layers: Any = bert.encoder.layer
    for layer in layers:
        own, after = layer.attention.self, layer.attention.output
        query, key, value = _heads(
            x, own.query.weight, own.key.weight, own.value.weight, own.query.bias, own.key.bias, own.value.bias,
            config.num_attention_heads,
        ).unbind(0)  # fmt: skip
        found = attend(query, key, value, batch).flatten(1)
        x = _joined(x, found, after, dropout)
        x = _joined(x, _inner(x, layer.intermediate.dense.weight, layer.intermediate.dense.bias), layer.output, dropout)
    return x


def _joined(x: Tensor, y: Tensor, part: Any, dropout: float) -> Tensor:
    norm = part.LayerNorm
    return _add(x, y, part.dense.weight, part.dense.bias, norm.weight, norm.bias, norm.eps, dropout)


def logits(model: BertForSequenceClassification, batch: Batch, dropout: float = 0.0) -> Tensor:
    """One row a text, the largest of its windows'. Shape: ``(n, L) float32``."""
    pooler: Any = model.bert.pooler
    first = hidden(model, batch, dropout)[batch.bounds[:-1].long()]
    return batch.largest(model.classifier(torch.tanh(pooler.dense(first))))


class MaskedHead(nn.Module):
    """Masked-language modelling on the student; its vectors of tokens are the student's own."""

    def __init__(self, model: BertForSequenceClassification) -> None:
        super().__init__()
        size = model.config.hidden_size
        self.dense = nn.Linear(size, size)
        nn.init.eye_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.norm = nn.LayerNorm(size, eps=model.config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(model.config.vocab_size))

    def loss(self, model: BertForSequenceClassification, batch: Batch, places: Tensor, were: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens at ``places``, shape ``(m,)``, that ``were`` there."""
        words = model.bert.embeddings.word_embeddings.weight
        return _masked_loss(
            hidden(model, batch), places, were, self.dense.weight, self.dense.bias,
            self.norm.weight, self.norm.bias, self.norm.eps, words, self.bias,
        )  # fmt: skip


@fused
def _masked_loss(
    x: Tensor, places: Tensor, were: Tensor, dense: Tensor, of_dense: Tensor, weight: Tensor, bias: Tensor,
    epsilon: float, words: Tensor, of_words: Tensor,
) -> Tensor:  # fmt: skip
    inner = F.layer_norm(F.gelu(linear(x[places], dense, of_dense)).float(), weight.shape, weight, bias, epsilon)
    return F.cross_entropy(linear(inner, words, of_words).float(), were)
