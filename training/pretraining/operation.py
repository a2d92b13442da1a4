"""A whole pretraining, from text to encoder: tokenizer, token cache, network, loop, export. Knows no command line."""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from tokenizers import Tokenizer

from training.files import file_hash, locked, write_text
from training.pretraining.batches import Specials
from training.pretraining.checkpoints import checkpoint_folders, restore_checkpoint
from training.pretraining.config import Inputs, PretrainConfig
from training.pretraining.errors import PretrainError
from training.pretraining.export import export_encoder
from training.pretraining.log import RunLog
from training.pretraining.loop import train
from training.pretraining.model import build_model
from training.pretraining.passages import build_passages
from training.pretraining.probe import Probe
from training.pretraining.run import Run, make_optimizer
from training.pretraining.text import excluded_texts, sample_paragraphs, text_files
from training.pretraining.tokens import token_cache
from training.tokenizer import load_tokenizer, train_tokenizer


def pretrain(
    settings: PretrainConfig, inputs: Inputs, *, resume: bool = False, max_minutes: float | None = None
) -> bool:
    """Pretrains an encoder and writes it to `inputs.out`.

    Args:
        resume: go on from the newest intact checkpoint in the work folder, if there is one.
        max_minutes: stop with a checkpoint after this time; the schedule does not depend on it.

    Returns:
        True when the encoder was written, False when the time was up before.

    Raises:
        PolicytagError: something in the data, the settings or the checkpoints is not as it must be.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    accelerator = Accelerator()
    with locked(inputs.work / "lock") if accelerator.is_main_process else nullcontext():
        if not resume and checkpoint_folders(inputs.work):
            raise PretrainError(f"{inputs.work}: has checkpoints of a run; add --resume or give another --work folder")
        if bool(inputs.probe_train) != bool(inputs.probe_dev):
            raise PretrainError("the probe learns from one file and is scored on another; give both or neither")
        probe = Probe(inputs, settings) if inputs.probe_train else None
        run = prepare(settings, inputs, accelerator)
        if resume:
            restore_checkpoint(run)
        log = RunLog(inputs.work, run.step, accelerator.is_main_process)
        try:
            finished = train(run, log, probe, max_minutes)
        finally:
            log.close()
        if finished and accelerator.is_main_process:
            export_encoder(run, log, inputs.out)
    return finished


def prepare(settings: PretrainConfig, inputs: Inputs, accelerator: Accelerator) -> Run:
    """Reads the data and builds the network and its optimiser."""
    with accelerator.main_process_first():
        tokenizer = _tokenizer(settings, inputs)
        cache = token_cache(inputs.work, inputs.text, tokenizer, inputs.exclude, settings.max_paragraph_chars)
    passages = build_passages(cache, settings)
    model = build_model(settings, inputs, cache, passages, tokenizer, accelerator.device).to(accelerator.device)
    configuration = settings.training_settings() | {"encoder": inputs.encoder}
    identity = {"configuration": _short_hash(configuration), "data": passages.data_hash[:16]}
    return Run(
        settings, inputs, cache, passages, tokenizer, Specials.of(tokenizer), accelerator, model,
        make_optimizer(model, settings), identity,
    )  # fmt: skip


def _tokenizer(settings: PretrainConfig, inputs: Inputs) -> Tokenizer:
    if inputs.encoder:
        if inputs.tokenizer:
            raise PretrainError("--encoder brings its own tokenizer; leave --tokenizer out")
        return load_tokenizer(inputs.encoder)
    if inputs.tokenizer:
        return load_tokenizer(inputs.tokenizer)
    files = text_files(inputs.text)
    how = {
        "vocabulary_size": settings.vocabulary_size, "max_piece_length": settings.max_piece_length,
        "min_character_count": settings.min_character_count,
    }  # fmt: skip
    origin = [how, settings.tokenizer_sample, settings.seed, *map(file_hash, files), *map(file_hash, inputs.exclude)]
    saved = inputs.work / f"tokenizer-{_short_hash(origin)}.json"
    if not saved.is_file():
        excluded = excluded_texts(inputs.exclude)
        sample = sample_paragraphs(files, excluded, settings.tokenizer_sample, settings.seed)
        write_text(saved, train_tokenizer(sample, **how).to_str())
    return load_tokenizer(saved)


def _short_hash(content: object) -> str:
    """Sixteen hex digits that stand for JSON content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
