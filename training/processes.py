"""Whether several processes share a training, as ``torchrun`` and ``accelerate launch`` tell them. Starts none."""

from __future__ import annotations

import os


def count() -> int:
    """How many processes share the training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the one that measures, writes and reports."""
    return os.environ.get("RANK", "0") == "0"
