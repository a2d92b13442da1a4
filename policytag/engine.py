"""Token windows to logits through ONNX Runtime. Knows neither text nor labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from policytag.encoding import pad
from policytag.errors import ArtifactError

MAX_BATCH_TOKENS = 2048
"""Padded tokens a batch: beyond this the caches are left and a batch costs more a token, not less."""


class Engine:
    """One ONNX Runtime session. Safe to share between threads.

    Args:
        onnx_file: Inputs ``input_ids`` and ``attention_mask``, ``(b, t) int64``; output ``logits``, ``(b, L)``.
        pad_id: The padding token.
        threads: Threads of one call; 0 leaves it to the runtime (all cores).

    Raises:
        ArtifactError: If the file is no such graph.
    """

    def __init__(self, onnx_file: Path, pad_id: int, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(onnx_file), options, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # onnxruntime raises several unrelated types
            raise ArtifactError(f"{onnx_file}: ONNX Runtime cannot load it ({error})") from None
        names = {node.name for node in self._session.get_inputs()}
        if names != {"input_ids", "attention_mask"}:
            raise ArtifactError(f"{onnx_file}: inputs {sorted(names)}; expected input_ids and attention_mask")
        shapes = {node.name: node.shape for node in self._session.get_outputs()}
        shape = shapes.get("logits", [])
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise ArtifactError(f"{onnx_file}: outputs {sorted(shapes)}; expected logits of shape (batch, labels)")
        self.num_labels = shape[1]
        self._pad_id = pad_id

    def logits(self, windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of token windows, in their order.

        Windows of like length are run together: padding is the largest avoidable cost.

        Shape: ``w`` windows -> ``(w, L) float32``.
        """
        out = np.empty((len(windows), self.num_labels), dtype=np.float32)
        for rows in batches([len(window) for window in windows]):
            ids, mask = pad([windows[row] for row in rows], self._pad_id)
            [values] = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
            out[rows] = np.asarray(values)
        return out


def batches(lengths: Sequence[int], max_tokens: int = MAX_BATCH_TOKENS) -> Iterator[list[int]]:
    """Indices grouped by length, so that rows x longest row <= ``max_tokens`` (or one row alone).

    ``batches([5, 900, 6, 900], 1800)`` -> ``[0, 2]``, ``[1, 3]``.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
