"""Checkpoints: a run's state on disk, and back. Knows nothing of how the state came about."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.files import file_hash, to_disk
from training.pretraining.errors import PretrainError
from training.pretraining.run import Run

logger = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2


def save_checkpoint(run: Run) -> None:
    """Writes weights, optimiser and counters so that a kill at any moment leaves the older checkpoints whole."""
    if not run.accelerator.is_main_process:
        return
    tensors = {f"model.{key}": value for key, value in run.model.state_dict().items()}
    for number, state in run.optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{number}.{key}": value for key, value in state.items()})
    folder = run.inputs.work / "checkpoints" / f"step-{run.step:08d}"
    building = folder.with_name(f"{folder.name}.building")
    for leftover in folder.parent.glob("*.building"):
        shutil.rmtree(leftover)
    building.mkdir(parents=True)
    on_cpu = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    save_file(on_cpu, building / "state.safetensors")
    state = {"step": run.step, "tokens": run.tokens, "seconds": run.seconds, "identity": run.identity}
    state["sha256"] = file_hash(building / "state.safetensors")
    (building / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    for path in (building / "state.safetensors", building / "state.json", building):
        to_disk(path)
    if folder.exists():
        shutil.rmtree(folder)
    building.rename(folder)
    to_disk(folder.parent)
    for old in checkpoint_folders(run.inputs.work)[KEPT_CHECKPOINTS:]:
        shutil.rmtree(old)


def restore_checkpoint(run: Run) -> bool:
    """Loads the newest intact checkpoint; False if there is none.

    Raises:
        PretrainError: the checkpoint belongs to another configuration or other data.
    """
    for folder in checkpoint_folders(run.inputs.work):
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            if file_hash(folder / "state.safetensors") != state["sha256"]:
                raise ValueError("its hash differs")
            tensors = load_file(folder / "state.safetensors")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            logger.warning("%s: damaged (%s), going back to the one before", folder, error)
            continue
        for key, value in run.identity.items():
            if state["identity"].get(key) != value:
                raise PretrainError(
                    f"{folder}: written with another {key} ({state['identity'].get(key)}, now {value}); "
                    "resume with the same settings and data, or start afresh in another --work folder"
                )
        _load_state(run, tensors)
        run.step, run.tokens, run.seconds = state["step"], state["tokens"], state["seconds"]
        logger.info("resuming at step %d from %s", run.step, folder)
        return True
    return False


def _load_state(run: Run, tensors: dict[str, Tensor]) -> None:
    run.model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    groups = run.optimizer.state_dict()["param_groups"]
    run.optimizer.load_state_dict({"state": state, "param_groups": groups})


def checkpoint_folders(work: Path) -> list[Path]:
    """The checkpoint folders, newest first."""
    return sorted((p for p in (work / "checkpoints").glob("step-*") if p.name[5:].isdigit()), reverse=True)
