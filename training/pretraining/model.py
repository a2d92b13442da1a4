"""The network: a BERT with both losses, new or continued. Knows batches as tensors, and nothing of steps."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own convention
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, BertModel
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from training.pretraining.batches import MicroBatch
from training.pretraining.config import Inputs, PretrainConfig
from training.pretraining.cooccurrence import cooccurrence_vectors
from training.pretraining.errors import PretrainError
from training.pretraining.passages import Passages
from training.pretraining.tokens import TokenCache

logger = logging.getLogger(__name__)

MAX_SCALE = 50.0  # of the contrast's similarities


class PretrainingModel(nn.Module):
    """A BERT with the masked-token head (tied to the embeddings) and the contrast of pooled passages."""

    def __init__(self, encoder: BertModel, settings: PretrainConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.transform = BertPredictionHeadTransform(encoder.config)
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.mlm_weight, self.contrast_weight = settings.mlm_weight, settings.contrast_weight
        self.bf16 = settings.precision == "bf16"
        unused = [] if self.mlm_weight else [*self.transform.parameters(), self.bias]
        if not self.contrast_weight:
            assert encoder.pooler is not None
            unused += [*encoder.pooler.parameters(), self.log_scale]
        for parameter in unused:
            parameter.requires_grad_(False)

    def forward(self, batch: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The losses of one batch.

        Args:
            batch: micro-batches as `training.pretraining.batches.MicroBatch`, as tensors.

        Returns:
            `loss` (weighted), `mlm` and `contrast` (nats, means), `accuracy` (of the contrast); Shape: () float32.
        """
        device = self.bias.device
        mlm, masked, pooled = torch.zeros((), device=device), 0, []
        for part in batch:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                output = self.encoder(input_ids=part["ids"], attention_mask=part["attention"])
                if self.mlm_weight:
                    mlm = mlm + self._masked_loss(output.last_hidden_state, part["masked"], part["labels"])
                    masked += len(part["labels"])
            pooled.append(output.pooler_output.float())
        mlm = mlm / max(1, masked)
        contrast = accuracy = torch.zeros((), device=device)
        if self.contrast_weight:
            order = torch.argsort(torch.cat([part["rows"] for part in batch]))
            contrast, accuracy = self._contrast(torch.cat(pooled)[order])
        loss = self.mlm_weight * mlm + self.contrast_weight * contrast
        return {"loss": loss, "mlm": mlm, "contrast": contrast, "accuracy": accuracy}

    def _masked_loss(self, hidden: Tensor, masked: Tensor, labels: Tensor) -> Tensor:
        """Summed cross-entropy; the vocabulary's logits are computed at the masked positions only."""
        chosen = self.transform(hidden.flatten(0, 1)[masked])
        logits = F.linear(chosen, self.encoder.embeddings.word_embeddings.weight)
        return F.cross_entropy(logits.float() + self.bias, labels, reduction="sum")

    def _contrast(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """InfoNCE both ways (van den Oord et al., arXiv 1807.03748); rows 2i and 2i+1 belong together."""
        unit = F.normalize(pooled, dim=1)
        similarity = unit[0::2] @ unit[1::2].t() * self.log_scale.exp().clamp(max=MAX_SCALE)
        target = torch.arange(len(similarity), device=similarity.device)
        loss = (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.t(), target)) / 2
        return loss, (similarity.argmax(1) == target).float().mean()


def build_model(
    settings: PretrainConfig, inputs: Inputs, cache: TokenCache, passages: Passages, tokenizer: Tokenizer,
    device: torch.device,
) -> PretrainingModel:  # fmt: skip
    """The network before its first step: continued, or new with co-occurrence or random vectors."""
    torch.manual_seed(settings.seed)
    attention = "sdpa" if device.type == "cuda" else "eager"  # eager is much the faster in training on a CPU
    if inputs.encoder:
        return continued(settings, inputs.encoder, tokenizer, attention)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=settings.hidden_size,
        num_hidden_layers=settings.hidden_layers, num_attention_heads=settings.attention_heads,
        intermediate_size=settings.intermediate_size, max_position_embeddings=settings.max_positions,
        hidden_dropout_prob=settings.dropout, attention_probs_dropout_prob=settings.dropout,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
    )  # fmt: skip
    config._attn_implementation = attention
    model = PretrainingModel(BertModel(config, add_pooling_layer=True), settings)
    if settings.init == "cooccurrence":
        keep = ~np.isin(cache.documents, passages.validation_documents)
        vectors = cooccurrence_vectors(
            cache.ids, cache.lengths, keep, config.vocab_size, config.hidden_size, settings.seed
        )
        model.encoder.embeddings.word_embeddings.weight.data.copy_(torch.from_numpy(vectors))
    return model


def continued(settings: PretrainConfig, name: str, tokenizer: Tokenizer, attention: str) -> PretrainingModel:
    """An existing BERT, with its masked-token head if it has one.

    Args:
        name: a Hugging Face folder or name.
        attention: transformers' name of the attention's implementation.

    Raises:
        PretrainError: there is none, it is damaged, or it does not fit the tokenizer or the settings.
    """
    how: dict[str, Any] = {
        "dtype": torch.float32, "attn_implementation": attention,
        "hidden_dropout_prob": settings.dropout, "attention_probs_dropout_prob": settings.dropout,
    }  # fmt: skip
    try:
        encoder = BertModel.from_pretrained(name, add_pooling_layer=True, **how)
        loaded: Any = BertForMaskedLM.from_pretrained(name, output_loading_info=True, **how)
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PretrainError(f"{name}: no BERT there ({reason}); expected a Hugging Face folder or name") from None
    _check_encoder(encoder, settings, name, tokenizer)
    masked, report = loaded
    model = PretrainingModel(encoder, settings)
    has_head = not any(key.startswith("cls.predictions.transform") for key in report["missing_keys"])
    if has_head:
        model.transform.load_state_dict(masked.cls.predictions.transform.state_dict())
        model.bias.data.copy_(masked.cls.predictions.bias.data)
    logger.info("continuing %s, %s masked-token head", name, "with its" if has_head else "with a new")
    return model


def _check_encoder(encoder: BertModel, settings: PretrainConfig, name: str, tokenizer: Tokenizer) -> None:
    if encoder.config.vocab_size < tokenizer.get_vocab_size():
        raise PretrainError(
            f"{name}: {encoder.config.vocab_size} embeddings for a tokenizer of {tokenizer.get_vocab_size()} tokens"
        )
    if not all(bool(torch.isfinite(weight).all()) for weight in encoder.parameters()):
        raise PretrainError(f"{name}: the weights are not finite numbers; the checkpoint is damaged")
    if settings.max_tokens + 2 > encoder.config.max_position_embeddings:
        raise PretrainError(
            f"{name}: {encoder.config.max_position_embeddings} positions, max_tokens is {settings.max_tokens} + 2"
        )


def to_tensors(parts: Sequence[MicroBatch], device: torch.device) -> list[dict[str, Tensor]]:
    """A batch on the device."""
    return [{key: torch.from_numpy(array).to(device) for key, array in vars(part).items()} for part in parts]
