"""What a run is given: its settings, one frozen dataclass read from TOML, and its paths. Opens no data and no model."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from training.pretraining.errors import PretrainError


@dataclass(frozen=True)
class Inputs:
    """The paths of a run.

    Attributes:
        text: text files and folders of them.
        out: the encoder's folder.
        work: token cache, checkpoints, logs.
        exclude: JSONL files whose texts must not be learnt from.
        tokenizer: a `tokenizer.json`; without it (and without `encoder`) one is trained.
        encoder: a Hugging Face BERT to continue, as folder or name.
        probe_train, probe_dev: annotation files for the downstream probe.
        labels: the folder with the annotations' `taxonomy.yaml`.
    """

    text: Sequence[Path]
    out: Path
    work: Path
    exclude: Sequence[Path] = ()
    tokenizer: Path | None = None
    encoder: str | None = None
    probe_train: Sequence[Path] = ()
    probe_dev: Sequence[Path] = ()
    labels: Path = Path("labels")


@dataclass(frozen=True)
class PretrainConfig:
    """Every setting of a pretraining run; `config.toml` beside this file explains them and holds the defaults."""

    init: str
    hidden_layers: int
    hidden_size: int
    attention_heads: int
    intermediate_size: int
    max_positions: int
    vocabulary_size: int
    max_piece_length: int
    min_character_count: int
    tokenizer_sample: int
    max_paragraph_chars: int
    min_tokens: int
    max_tokens: int
    validation_share: float
    mlm_weight: float
    contrast_weight: float
    mask_rate: float
    batch_pairs: int
    pairs_per_document: int
    document_weight_cap: int
    micro_batches: int
    max_steps: int
    warmup_steps: int
    learning_rate: float
    beta2: float
    weight_decay: float
    clip_norm: float
    dropout: float
    seed: int
    precision: str
    threads: int
    log_steps: int
    eval_steps: int
    eval_batches: int
    probe_paragraphs: int
    checkpoint_steps: int

    def training_settings(self) -> dict[str, object]:
        """The settings that decide the weights, beside the data."""
        return {key: value for key, value in asdict(self).items() if key not in _FREE}


# What may change when a run is resumed: it does not reach the weights (threads: only their last bits) ...
_FREE = {"threads", "log_steps", "eval_steps", "eval_batches", "probe_paragraphs", "checkpoint_steps"}
# ... or reaches them through the tokens, which have a hash of their own.
_FREE |= {"vocabulary_size", "max_piece_length", "min_character_count", "tokenizer_sample", "max_paragraph_chars"}


def load_config(path: Path | None = None, **overrides: Any) -> PretrainConfig:
    """The default settings, changed by a TOML file and then by keywords.

    Raises:
        PretrainError: the file cannot be read, or a key or value is not one of the legal ones.
    """
    with resources.files("training.pretraining").joinpath("config.toml").open("rb") as stream:
        values = tomllib.load(stream)
    types = {key: type(value) for key, value in values.items()}
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    except OSError as error:
        raise PretrainError(f"{path}: cannot read the configuration ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PretrainError(f"{path}: not a TOML file: {error}") from None
    for key, value in {**given, **overrides}.items():
        values[key] = _checked(path, key, value, types)
    config = PretrainConfig(**values)
    _check_ranges(path, config)
    return config


def _checked(path: Path | None, key: str, value: Any, types: dict[str, type]) -> Any:
    where = path or "configuration"
    if key not in types:
        near = difflib.get_close_matches(key, types, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; expected one of: {', '.join(sorted(types))}"
        raise PretrainError(f"{where}: unknown key '{key}'{hint}")
    if types[key] is float and type(value) is int:
        return float(value)
    if type(value) is not types[key]:
        raise PretrainError(f"{where}: '{key}' is {value!r}, expected a value of type {types[key].__name__}")
    return value


def _check_ranges(path: Path | None, config: PretrainConfig) -> None:
    where = path or "configuration"
    for key, legal in (("init", ("cooccurrence", "random")), ("precision", ("bf16", "fp32"))):
        if getattr(config, key) not in legal:
            raise PretrainError(f"{where}: '{key}' is {getattr(config, key)!r}, expected one of: {', '.join(legal)}")
    may_be_zero = {"threads", "mlm_weight", "contrast_weight", "weight_decay", "dropout", "warmup_steps", "seed"}
    for field in fields(config):
        value = getattr(config, field.name)
        if not isinstance(value, str) and not (value > 0 or (value == 0 and field.name in may_be_zero)):
            raise PretrainError(f"{where}: '{field.name}' is {value}, expected a positive number")
    for key in ("validation_share", "mask_rate", "dropout"):
        if getattr(config, key) >= 1:
            raise PretrainError(f"{where}: '{key}' is {getattr(config, key)}, expected less than 1")
    if config.mlm_weight == config.contrast_weight == 0:
        raise PretrainError(f"{where}: 'mlm_weight' and 'contrast_weight' are both 0: there is nothing to learn")
    if config.max_tokens + 2 > config.max_positions or config.min_tokens > config.max_tokens:
        raise PretrainError(
            f"{where}: expected min_tokens <= max_tokens <= max_positions - 2, "
            f"got {config.min_tokens}, {config.max_tokens}, {config.max_positions}"
        )
    if config.hidden_size % config.attention_heads:
        raise PretrainError(
            f"{where}: hidden_size {config.hidden_size} is no multiple of attention_heads {config.attention_heads}"
        )
