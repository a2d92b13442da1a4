"""A fit that is killed, wherever, goes on and ends with the weights of one that was not."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerCallback

from policytag import artifact
from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import annotations, config, finetune, fit, observers, resume
from training.annotations import target_matrix
from training.config import Config
from training.finetune import TrainingError

KILLS = int(os.environ.get("KILLS", "10"))
"""Kills of the slow tests; the acceptance was run with more, see training/README.md."""


class StoppedError(Exception):
    """Ends a training where a kill would."""


class StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise StoppedError


@pytest.fixture(scope="module")
def settings(settings_file: Path) -> Config:
    """Three epochs of eight steps with dropout: every random number counts. A checkpoint every third step."""
    return config.load(settings_file, epochs=3, dropout=0.1, checkpoint_steps=3)


@pytest.fixture
def train(
    tiny_encoder: Path, rows_file: Path, taxonomy: Taxonomy, settings: Config, tmp_path: Path
) -> Callable[..., torch.Tensor]:
    rows = annotations.read([rows_file], taxonomy)

    def run(work: Path | None, *callbacks: TrainerCallback) -> torch.Tensor:
        scratch = tmp_path / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        start = finetune.prepare(str(tiny_encoder), taxonomy, settings, scratch)
        texts = [row.text for row in rows]
        finetune.train(start, texts, target_matrix(rows), settings, work=work, observers=callbacks)
        return torch.cat([parameter.detach().flatten() for parameter in start.model.parameters()])

    return run


def test_a_training_stopped_anywhere_ends_with_the_same_weights(train: Callable[..., torch.Tensor], tmp_path: Path):
    straight = train(None)
    for step in (1, 4, 8, 13, 17):  # before a checkpoint, in an epoch, at its end, again after a resumption
        with pytest.raises(StoppedError):
            train(tmp_path / "work", StopAt(step))
    assert torch.equal(train(tmp_path / "work"), straight)


def test_a_checkpoint_that_was_cut_off_is_not_gone_on_from(train: Callable[..., torch.Tensor], tmp_path: Path):
    straight, work = train(None), tmp_path / "work"
    with pytest.raises(StoppedError):
        train(work, StopAt(7))
    cut = work / "checkpoint-6"
    (cut / "optimizer.pt").write_bytes((cut / "optimizer.pt").read_bytes()[:100])
    (cut / "whole").unlink()
    assert torch.equal(train(work), straight)


def test_the_newest_whole_checkpoint_counts_by_its_number(tmp_path: Path):
    for step in (9, 10, 11):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}" / "whole").touch()
    assert resume.newest(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-11").exists()


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path: Path):
    resume.begin(tmp_path / "work", {"settings": "a", "data": "b"})
    resume.begin(tmp_path / "work", {"settings": "a", "data": "b"})
    with pytest.raises(InputError, match="an unfinished run with other data is here"):
        resume.begin(tmp_path / "work", {"settings": "a", "data": "c"})


def test_two_fits_cannot_write_one_model(fit_request: fit.Request, settings: Config):
    work = fit_request.out.with_name(f".{fit_request.out.name}.fit")
    with fit.locked(work / "lock"), pytest.raises(InputError, match="another run works here"):
        fit.fit(fit_request, settings)


def test_a_training_that_went_astray_leaves_no_checkpoints_to_go_on_from(
    fit_request: fit.Request, settings: Config, tmp_path: Path
):
    broken = shutil.copytree(fit_request.encoder, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    tensors["encoder.layer.0.output.dense.weight"].fill_(float("nan"))
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="the loss became nan"):
        fit.fit(replace(fit_request, encoder=str(broken)), settings)
    assert list(fit_request.out.parent.glob(".*")) == []


@pytest.fixture
def fit_request(rows_file: Path, tiny_encoder: Path, labels_folder: Path, tmp_path: Path) -> fit.Request:
    out = tmp_path / "models" / "out"
    return fit.Request((rows_file,), (), str(tiny_encoder), labels_folder, out, with_baseline=False)


def test_tensorboard_gets_the_loss(train: Callable[..., torch.Tensor], tmp_path: Path):
    train(None, *observers.observers(["tensorboard"], tmp_path / "logs"))
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    losses = [event.value for event in events.Scalars("train/loss")]
    assert len(losses) > 10
    assert np.isfinite(losses).all()


def test_mlflow_that_is_not_installed_is_said_before_the_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(observers, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install mlflow-skinny"):
        observers.observers(["mlflow"], tmp_path)


def test_a_batch_that_processes_cannot_share_is_refused(
    train: Callable[..., torch.Tensor], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match="batch_size 8 cannot be shared by 3 processes"):
        train(None)


# ----------------------------------------------------------------------------------------------------------- slow


def model_files(folder: Path) -> dict[str, str]:
    """Hashes of what a fit learnt."""
    return {name: artifact.sha256(folder / name) for name in ("model.safetensors", "calibration.json", "metrics.json")}


@pytest.mark.slow
def test_a_fit_killed_again_and_again_writes_the_model_of_one_that_was_not(
    fit_request: fit.Request, settings: Config, tmp_path: Path
):
    """Processes forked from one that has the libraries loaded, killed at random moments of training and writing."""
    straight = replace(fit_request, out=tmp_path / "models" / "straight")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.fit"])
    seconds = time.monotonic()
    process = context.Process(target=fit.fit, args=(straight, settings))
    process.start()
    process.join()
    seconds = time.monotonic() - seconds
    rng, kills, moments = random.Random(KILLS), 0, []
    work = fit_request.out.with_name(f".{fit_request.out.name}.fit")
    while True:
        process = context.Process(target=fit.fit, args=(fit_request, settings))
        process.start()
        if kills < KILLS:
            process.join(rng.uniform(0.3, 1.0) * seconds)
            if process.is_alive():
                process.kill()
                process.join()
                kills += 1
                moments.append("training" if (work / "run.json").exists() else "before")
                if fit_request.out.exists():
                    artifact.load(fit_request.out)
                continue
        process.join()
        assert process.exitcode == 0
        assert model_files(fit_request.out) == model_files(straight.out)
        if kills >= KILLS:
            break
        shutil.rmtree(fit_request.out)  # it ended before its kill: once more
    assert "training" in moments
    assert not list(fit_request.out.parent.glob(".*"))


@pytest.mark.slow
def test_two_processes_share_a_training(arguments: list[str], tmp_path: Path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29533"]
    command += ["-m", "training.cli", "fit", *arguments, "--out", str(tmp_path / "out"), "--skip-baseline"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("measured on") == 1
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert figures["model"]["groups"]["all"]["micro_f1"] > 0.7
