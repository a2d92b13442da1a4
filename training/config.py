"""The settings of fine-tuning: one frozen dataclass, read from TOML. Knows neither files of data nor models."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from policytag.encoding import Recipe
from policytag.errors import ArtifactError, PolicytagError

PRECISIONS = ("bf16", "fp32")
SETTINGS = "training.toml"
"""Beside the weights of a network that was taught here: the settings it was taught with."""
WINDOWS = ("max_tokens", "overlap", "max_chars", "piece_tokens")
"""Settings that a network which was taught here keeps, unless they are given."""


class ConfigError(PolicytagError):
    """A setting that does not exist or has a value it cannot have."""


@dataclass(frozen=True, slots=True)
class Config:
    """How a model is fine-tuned. The values this project uses stand, explained, in ``training/config.toml``.

    Attributes:
        max_tokens: Tokens a window.
        overlap: Tokens two windows share.
        max_chars: Characters read of one text.
        piece_tokens: Tokens of the pieces of whole sentences that a longer text is read in; 0 for none.
        epochs: Passes over the training texts; parts of one count. 0 leaves the network as it is, to be calibrated.
        batch_size: Texts a step.
        learning_rate: Peak of the schedule.
        warmup_share: Share of the steps in which the learning rate rises, in [0, 1).
        weight_decay: Decoupled, on all but biases and layer norms.
        clip_norm: Largest gradient norm.
        dropout: Everywhere in the network and before the head, in [0, 1).
        keep_start: Share of the starting weights in the result, in [0, 1): WiSE-FT (Wortsman et al. 2022,
            arXiv:2109.01903). Only where the start has learnt these labels already: with a new head it counts as 0.
        positive_weight_min: Lower bound of a label's weight for positives, sqrt(negatives / positives).
        positive_weight_max: Upper bound of it; 1 for both switches weighting off.
        checkpoint_steps: Steps between two checkpoints of ``fit``.
        precision: ``bf16`` (autocast) or ``fp32``.
        threads: CPU threads; 0 leaves it to torch.
        seed: Of the new head, the order of the data, dropout, the held-out split and the bootstrap.
        holdout_share: Share of the paragraphs held out where a split is needed, in (0, 0.5].
        calibration_skips: Held-out rows with this ``sample`` are neither calibrated nor measured on.
        threshold_shrink: Support at which a label's own threshold and the shared one count the same.
        threshold_min: Lower bound of every threshold.
        threshold_max: Upper bound of every threshold.
        resamples: Bootstrap resamples of documents.
        baseline_ngram_max: Longest character n-gram of the baseline.
        baseline_min_df: Paragraphs an n-gram must occur in.
        baseline_c: Inverse regularisation of the baseline.
    """

    max_tokens: int
    overlap: int
    max_chars: int
    piece_tokens: int
    epochs: float
    batch_size: int
    learning_rate: float
    warmup_share: float
    weight_decay: float
    clip_norm: float
    dropout: float
    keep_start: float
    positive_weight_min: float
    positive_weight_max: float
    checkpoint_steps: int
    precision: str
    threads: int
    seed: int
    holdout_share: float
    calibration_skips: str
    threshold_shrink: float
    threshold_min: float
    threshold_max: float
    resamples: int
    baseline_ngram_max: int
    baseline_min_df: int
    baseline_c: float

    @property
    def recipe(self) -> Recipe:
        """How a text becomes windows, in training as in serving."""
        return Recipe(self.max_tokens, self.overlap, self.max_chars, self.piece_tokens)

    def to_toml(self) -> str:
        """All settings as flat TOML, in the order above."""
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in asdict(self).items())


_RANGES: Mapping[str, tuple[float, float]] = {
    "max_tokens": (8, 8192),
    "max_chars": (1, 10_000_000),
    "piece_tokens": (0, 8192),
    "epochs": (0, 1000),
    "batch_size": (1, 4096),
    "learning_rate": (0, 1),
    "warmup_share": (0, 0.99),
    "weight_decay": (0, 10),
    "clip_norm": (0, 1e6),
    "dropout": (0, 0.99),
    "keep_start": (0, 0.99),
    "positive_weight_min": (0, 1e6),
    "positive_weight_max": (0, 1e6),
    "checkpoint_steps": (1, 1_000_000),
    "threads": (0, 1024),
    "seed": (0, 2**32 - 1),
    "holdout_share": (0.001, 0.5),
    "threshold_shrink": (0, 1e6),
    "threshold_min": (0, 1),
    "threshold_max": (0, 1),
    "resamples": (1, 100_000),
    "baseline_ngram_max": (1, 8),
    "baseline_min_df": (1, 1_000_000),
    "baseline_c": (1e-6, 1e6),
}


def load(path: Path | None = None, *, start: str | None = None, **overrides: Any) -> Config:
    """The project's settings, with those of a TOML file and then ``overrides`` in their place.

    Args:
        path: May name any subset of the settings.
        start: Folder of the network to go on from: if it was taught here, it says how texts become windows.
        overrides: By setting; None leaves the setting alone.

    Raises:
        ConfigError: On an unknown key, a wrong type or a value outside its range.
    """
    with resources.files("training").joinpath("config.toml").open("rb") as file:
        config = _merge(None, tomllib.load(file), "training/config.toml")
    config = replace(config, **windows_of(start)) if start else config
    if path is not None:
        config = _merge(config, _read(path), str(path))
    given = {key: value for key, value in overrides.items() if value is not None}
    return _merge(config, given, "command line")


def windows_of(start: str) -> dict[str, Any]:
    """The settings by which a network reads; nothing where none of this project are beside it."""
    settings = Path(start) / SETTINGS
    try:
        taught = load(settings) if settings.is_file() else None
    except ConfigError:
        return {}
    return {key: getattr(taught, key) for key in WINDOWS} if taught else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a TOML file of settings") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML ({error}); compare training/config.toml") from None


def _merge(base: Config | None, values: Mapping[str, Any], where: str) -> Config:
    types = {field.name: field.type for field in fields(Config)}
    for key, value in values.items():
        if key not in types:
            raise ConfigError(f"{where}: unknown setting '{key}'; expected some of {', '.join(types)}")
        _check(key, value, str(types[key]), where)
    checked: dict[str, Any] = {key: float(value) if types[key] == "float" else value for key, value in values.items()}
    config = Config(**checked) if base is None else replace(base, **checked)
    if config.threshold_min > config.threshold_max or config.positive_weight_min > config.positive_weight_max:
        raise ConfigError(f"{where}: a '…_min' is above its '…_max'; expected the smaller one first")
    if not config.overlap < config.max_tokens - 2:
        raise ConfigError(f"{where}: overlap {config.overlap}; expected less than max_tokens - 2")
    try:
        _ = config.recipe
    except ArtifactError as error:
        raise ConfigError(f"{where}: {error}") from None
    return config


def _check(key: str, value: Any, kind: str, where: str) -> None:
    legal = {"int": (int,), "float": (int, float), "str": (str,)}[kind]
    if not isinstance(value, legal) or isinstance(value, bool):
        raise ConfigError(f"{where}: {key} = {value!r}; expected {kind}")
    if key == "precision" and value not in PRECISIONS:
        raise ConfigError(f"{where}: precision = {value!r}; expected one of {', '.join(PRECISIONS)}")
    low, high = _RANGES.get(key, (0, 2**32 - 1))
    if isinstance(value, int | float) and not low <= value <= high:
        raise ConfigError(f"{where}: {key} = {value}; expected {low:g} to {high:g}")
