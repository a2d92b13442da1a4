"""The loop over all steps of a run: when to train, to look, to save and to stop. Knows not how any of it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from accelerate import Accelerator

from training.pretraining.batches import MicroBatch
from training.pretraining.checkpoints import save_checkpoint
from training.pretraining.export import export_encoder
from training.pretraining.log import RunLog
from training.pretraining.probe import Probe
from training.pretraining.run import TRAIN, Run, learning_rate, make_batch, train_step, validate


def batches(run: Run) -> Iterator[list[MicroBatch]]:
    """This process's part of every batch that is left; the next one is built while one is used."""
    rank, world = run.accelerator.process_index, run.accelerator.num_processes
    with ThreadPoolExecutor(max_workers=1) as pool:
        following = pool.submit(make_batch, run, run.step, TRAIN, rank, world)
        for step in range(run.step + 1, run.settings.max_steps + 1):
            parts = following.result()
            if step < run.settings.max_steps:
                following = pool.submit(make_batch, run, step, TRAIN, rank, world)
            yield parts


def _time_is_up(accelerator: Accelerator, deadline: float) -> bool:
    """Whether any process is past the deadline, so that all stop at the same step."""
    late = torch.tensor(float(time.monotonic() >= deadline), device=accelerator.device)
    return bool(accelerator.reduce(late, "sum") > 0)  # type: ignore[operator]  # one tensor in, one tensor out


def train(run: Run, log: RunLog, probe: Probe | None, max_minutes: float | None) -> bool:
    """Trains to `max_steps`; False if the time was up before."""
    settings, accelerator = run.settings, run.accelerator
    wrapped = accelerator.prepare_model(run.model) if accelerator.num_processes > 1 else run.model
    run.model.train()
    started, before = time.monotonic(), run.seconds
    for parts in batches(run):
        if max_minutes is not None and _time_is_up(accelerator, started + 60 * max_minutes):
            save_checkpoint(run)
            return False
        losses = train_step(run, wrapped, parts)
        run.seconds = before + time.monotonic() - started
        last = run.step == settings.max_steps
        if run.step % settings.log_steps == 0 or last:
            figures = {f"train_{key}": round(float(value), 5) for key, value in losses.items()}
            log.write(run, {**figures, "learning_rate": learning_rate(settings, run.step - 1)})
        if run.step % settings.eval_steps == 0 or last:
            log.write(run, {**validate(run), **(probe.score(run) if probe else {})})
            if accelerator.is_main_process:
                export_encoder(run, log, run.inputs.work / "latest")
        if run.step % settings.checkpoint_steps == 0 or last:
            save_checkpoint(run)
    return True
