"""What a killed training goes on from: whole checkpoints of the same run. Knows no network.

The Trainer writes a checkpoint file by file; one that a kill cut off looks like any other. So a marker is written into
it last, and a checkpoint without one is thrown away.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from policytag.errors import InputError
from training import processes
from training.files import write_text

log = logging.getLogger(__name__)

_MARKER, _IDENTITY = "whole", "run.json"


def begin(folder: Path, identity: Mapping[str, str]) -> None:
    """Makes the work folder of a run, or takes up that of a killed one.

    Args:
        identity: What must be the same for a run to be the same: hashes of settings, data, encoder.

    Raises:
        InputError: If another run was killed there.
    """
    path = folder / _IDENTITY
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        other = [key for key, value in identity.items() if before.get(key) != value]
        if other:
            raise InputError(
                f"{folder}: an unfinished run with other {', '.join(other)} is here; run it to its end, "
                "remove the folder, or give another --out"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(dict(identity), indent=1))


def newest(folder: Path) -> Path | None:
    """The last whole checkpoint; what a kill left half-written is removed."""
    whole = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / _MARKER).exists():
            whole.append(checkpoint)
        elif processes.is_first():
            shutil.rmtree(checkpoint)
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class MarkWhole(TrainerCallback):
    """Marks a checkpoint once every process has written its part."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _MARKER).touch()


def digest(*parts: Any) -> str:
    """A hash of what JSON can hold."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
