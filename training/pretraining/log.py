"""The log of a run: figures under the step they belong to. Knows not what the figures mean."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from training.files import write_text
from training.pretraining.run import Run

logger = logging.getLogger(__name__)


class RunLog:
    """Figures to `log.jsonl`, TensorBoard and the log; what a resumed run will repeat is dropped first."""

    def __init__(self, work: Path, step: int, active: bool) -> None:
        self._path, self._board = work / "log.jsonl", None
        if active:
            kept = [line for line in self.lines() if json.loads(line)["step"] <= step]
            write_text(self._path, "".join(f"{line}\n" for line in kept))
            self._board = SummaryWriter(str(work / "tensorboard"), purge_step=step + 1)

    def lines(self) -> list[str]:
        """The complete lines written so far; a kill may have cut the last one."""
        text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
        return text.split("\n")[:-1]

    def write(self, run: Run, figures: dict[str, float]) -> None:
        """Writes figures under the run's step."""
        if self._board is None:
            return
        record = {"step": run.step, "tokens": run.tokens, "seconds": round(run.seconds, 1), **figures}
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        for key, value in figures.items():
            self._board.add_scalar(key, value, run.step)
        shown = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
        logger.info(
            "step %d/%d, %.1fM tokens, %.0f a second: %s",
            run.step, run.settings.max_steps, run.tokens / 1e6, run.tokens / max(run.seconds, 1e-3), shown,
        )  # fmt: skip

    def last(self, key: str) -> float | None:
        """The last value written under `key`."""
        records = (json.loads(line) for line in reversed(self.lines()))
        return next((record[key] for record in records if key in record), None)

    def close(self) -> None:
        """Ends the TensorBoard file; the rest is on disk already."""
        if self._board is not None:
            self._board.close()
