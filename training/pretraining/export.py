"""What is handed on: the encoder as a Hugging Face folder, complete or not at all. Knows no checkpoint."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig

from training.pretraining.card import encoder_card
from training.pretraining.errors import PretrainError
from training.pretraining.log import RunLog
from training.pretraining.run import Run
from training.tokenizer import save_tokenizer

logger = logging.getLogger(__name__)

FINE_TUNING_DROPOUT = 0.1  # what the written encoder asks for


def export_encoder(run: Run, log: RunLog, out: Path) -> None:
    """Writes the encoder as a plain Hugging Face folder in half precision, with its tokenizer, log and card.

    Files of these names are replaced one by one; whatever else is in the folder stays.
    """
    building = out / ".building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    config = BertConfig.from_dict(
        {
            **run.model.encoder.config.to_dict(),
            "hidden_dropout_prob": FINE_TUNING_DROPOUT,
            "attention_probs_dropout_prob": FINE_TUNING_DROPOUT,
            "architectures": ["BertModel"],
            "dtype": "float16",
        }
    )
    weights = {key: value.cpu().half() for key, value in run.model.encoder.state_dict().items()}
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise PretrainError(f"{out}: the weights do not fit into half precision; nothing written")
    config.save_pretrained(building)
    save_file(weights, building / "model.safetensors", metadata={"format": "pt"})
    (building / "model.safetensors").chmod(0o644)  # the library makes it readable by its owner alone
    save_tokenizer(run.tokenizer, building, config.max_position_embeddings)
    (building / "training_log.jsonl").write_text("".join(f"{line}\n" for line in log.lines()), encoding="utf-8")
    (building / "README.md").write_text(encoder_card(run, log), encoding="utf-8")
    for path in sorted(building.iterdir()):
        path.replace(out / path.name)
    building.rmdir()
    logger.info("encoder of step %d written to %s", run.step, out)
