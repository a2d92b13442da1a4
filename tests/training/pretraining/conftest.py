"""What the tests of pretraining share: settings that run in a second, twenty small documents, their tokenizer."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from training.pretraining.batches import Specials
from training.pretraining.config import Inputs, PretrainConfig, load_config
from training.pretraining.passages import build_passages
from training.pretraining.tokens import token_cache
from training.tokenizer import load_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOPICS = ("资金补贴给予奖励", "人才引进落户住房", "平台建设孵化载体", "审批改革简化流程")


@pytest.fixture(scope="session")
def topics() -> tuple[str, ...]:
    """The characters of the four topics; they share none."""
    return TOPICS


@pytest.fixture(scope="session")
def tiny() -> Callable[..., PretrainConfig]:
    """Makes the settings of a tiny run, with changes given as keywords."""
    return tiny_settings


def tiny_settings(**changes: Any) -> PretrainConfig:
    settings: dict[str, Any] = {
        "hidden_layers": 1, "hidden_size": 16, "attention_heads": 2, "intermediate_size": 16, "max_positions": 32,
        "min_tokens": 8, "max_tokens": 20, "validation_share": 0.1, "batch_pairs": 6, "pairs_per_document": 2,
        "micro_batches": 2, "max_steps": 6, "warmup_steps": 2, "log_steps": 2, "eval_steps": 3, "eval_batches": 1,
        "checkpoint_steps": 2, "threads": 1, "probe_paragraphs": 30,
    }  # fmt: skip
    return load_config(**{**settings, **changes})


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty documents of eight paragraphs, each document with the characters of one topic."""
    rng = random.Random(0)
    documents = [["".join(rng.choices(TOPICS[i % 4], k=10)) for _ in range(8)] for i in range(20)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join("\n".join(paragraphs) for paragraphs in documents), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pieces = [*SPECIAL, *sorted(set("".join(TOPICS) + "甲乙丙丁"))]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")  # type: ignore
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(SPECIAL)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture
def inputs(tmp_path: Path, texts: Path, tokenizer_file: Path) -> Inputs:
    return Inputs(text=[texts], out=tmp_path / "encoder", work=tmp_path / "work", tokenizer=tokenizer_file)


@pytest.fixture(scope="session")
def small_bert() -> Callable[..., BertModel]:
    """Makes a random BERT; 41 tokens, enough for `tokenizer_file`, unless another number is given."""
    return random_bert


def random_bert(vocabulary: int = 41) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertModel(config)


@pytest.fixture
def prepared(tmp_path: Path, texts: Path, tokenizer_file: Path):
    tokenizer = load_tokenizer(tokenizer_file)
    cache = token_cache(tmp_path, [texts], tokenizer, [], 2000)
    return cache.ids, build_passages(cache, tiny_settings()), Specials.of(tokenizer)
