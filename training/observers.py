"""Where a training's progress goes beside the log: TensorBoard, MLflow. Knows nothing of what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from transformers import TrainerCallback
from transformers.integrations.integration_utils import MLflowCallback, TensorBoardCallback

from policytag.errors import InputError
from training import processes


def observers(names: Sequence[str], folder: Path) -> tuple[TrainerCallback, ...]:
    """The Trainer's callbacks for some of ``tensorboard`` and ``mlflow``.

    Args:
        folder: For TensorBoard; MLflow reads ``MLFLOW_TRACKING_URI`` and its other variables.

    Raises:
        InputError: If MLflow is not installed.
    """
    if not processes.is_first():
        return ()
    found: list[TrainerCallback] = []
    if "tensorboard" in names:
        from torch.utils.tensorboard import SummaryWriter  # a second to import

        found.append(TensorBoardCallback(SummaryWriter(log_dir=str(folder))))
    if "mlflow" in names:
        if find_spec("mlflow") is None:
            raise InputError("--log-to mlflow: not installed; install it beside policytag: pip install mlflow-skinny")
        found.append(MLflowCallback())
    return tuple(found)
