"""The encoder's card: what it was made of, how, and what it reached. Every figure on it comes from the run."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import torch
from accelerate import Accelerator

from training.pretraining.log import RunLog
from training.pretraining.run import Run

_CARD = """---
license: apache-2.0
language: zh
library_name: transformers
tags: [bert, feature-extraction]
---
# Chinese policy encoder

`BertModel`, {config.num_hidden_layers} layers x {config.hidden_size}, {config.num_attention_heads} heads,
{config.vocab_size} tokens, {millions:.1f} M parameters in half precision; {start}.

## Data

{facts.files} text files: {facts.characters} characters, {facts.documents} documents, {facts.paragraphs} paragraphs,
{facts.tokens} tokens ({unknown_percent:.4f} % [UNK]);
{facts.excluded_paragraphs} paragraphs left out because {facts.exclusion_texts} texts kept for evaluation hold them.
{held_out} documents held out for validation. Data hash `{data_hash}`.

## Training

Masked-language modelling (weight {settings.mlm_weight:g}, rate {settings.mask_rate:g}) and contrast of adjacent
passages (weight {settings.contrast_weight:g}, {settings.batch_pairs} pairs a batch) from one forward pass.

{run.step} of {settings.max_steps} steps, {run.tokens} tokens seen, {hours:.2f} hours on
{hardware}, {settings.precision}.
{versions}. Seed {settings.seed}, settings hash `{run.identity[configuration]}`.

| held-out figure at the end | |
| --- | --- |
{rows}

## Limits

The encoder has seen nothing but the text above and sequences of at most {longest} tokens; positions
beyond are untrained. It carries the text's biases, gaps and dates, and is meant to be fine-tuned, not to write text
or to state facts. Licence: Apache-2.0.
"""


def encoder_card(run: Run, log: RunLog) -> str:
    """The card of the encoder as it is now."""
    facts, settings, encoder = run.cache.facts, run.settings, run.inputs.encoder
    return _CARD.format(
        run=run,
        config=run.model.encoder.config,
        facts=facts,
        settings=settings,
        millions=sum(weight.numel() for weight in run.model.encoder.parameters()) / 1e6,
        start=f"continued from `{encoder}`" if encoder else f"new, {settings.init} token vectors",
        unknown_percent=100 * facts.unknown_tokens / facts.tokens,
        held_out=len(run.passages.validation),
        data_hash=run.passages.data_hash,
        hours=run.seconds / 3600,
        hardware=hardware(run.accelerator),
        versions=_versions(),
        rows=_figures(run, log),
        longest=settings.max_tokens + 2,
    )


def _versions() -> str:
    names = ("torch", "transformers", "tokenizers", "accelerate", "numpy")
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def _figures(run: Run, log: RunLog) -> str:
    """The table's rows; a loss that was switched off has none."""
    settings = run.settings
    figures = {
        "masked-token loss (nats)": log.last("validation_mlm") if settings.mlm_weight else None,
        "contrast loss (nats)": log.last("validation_contrast") if settings.contrast_weight else None,
        "contrast accuracy": log.last("validation_accuracy") if settings.contrast_weight else None,
        "probe macro-F1": log.last("probe_macro_f1"),
    }
    return "\n".join(f"| {name} | {value:.4f} |" for name, value in figures.items() if value is not None)


def hardware(accelerator: Accelerator) -> str:
    """Names what the run computes on."""
    if accelerator.device.type == "cuda":
        return f"{accelerator.num_processes} x {torch.cuda.get_device_name(accelerator.device)}"
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = (line.partition(":") for line in cpuinfo.read_text(encoding="utf-8").splitlines())
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    return f"{accelerator.num_processes} x {torch.get_num_threads()} CPU threads, {model}"
