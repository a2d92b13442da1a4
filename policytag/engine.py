"""Token windows to logits through ONNX Runtime. Knows neither text nor labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from policytag.errors import ArtifactError

MAX_BATCH_TOKENS = 512
"""Tokens a batch: beyond this its intermediate results leave the caches, and it costs more a token, not less."""
MIN_BATCH_TOKENS = 64
"""Tokens below which a batch is not split to employ another thread."""


class Engine:
    """One network in memory. Safe to share between threads.

    A batch is computed by one thread, several batches at once by several: that needs no meeting of threads within the
    network, and two cores give twice the rate of one.

    Args:
        onnx_file: Inputs ``input_ids`` and ``attention_mask``, ``(b, t) int64``; output ``logits``, ``(b, L)``.
        threads: Batches computed at once; 0 for as many as there are processors.

    Raises:
        ArtifactError: If the file is no such graph.
    """

    def __init__(self, onnx_file: Path, threads: int = 0) -> None:
        self._session = _session(onnx_file)
        names = {node.name for node in self._session.get_inputs()}
        if names != {"input_ids", "attention_mask"}:
            raise ArtifactError(f"{onnx_file}: inputs {sorted(names)}; expected input_ids and attention_mask")
        shapes = {node.name: node.shape for node in self._session.get_outputs()}
        shape = shapes.get("logits", [])
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise ArtifactError(f"{onnx_file}: outputs {sorted(shapes)}; expected logits of shape (batch, labels)")
        self.num_labels = shape[1]
        self.threads = threads or processors()
        self._pool = ThreadPoolExecutor(self.threads, "policytag-engine")

    def logits(self, windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of token windows, in their order.

        Only windows of one length are run together. Without padding nothing is computed in vain, and a window's logits
        are the same to the bit whatever its neighbours are.

        Shape: ``w`` windows -> ``(w, L) float32``.
        """
        out = np.empty((len(windows), self.num_labels), dtype=np.float32)

        def run(rows: list[int]) -> None:
            out[rows] = self.run([windows[row] for row in rows])

        lengths = [len(window) for window in windows]
        share = -(-sum(lengths) // self.threads)
        groups = list(batches(lengths, min(max(share, MIN_BATCH_TOKENS), MAX_BATCH_TOKENS)))
        if len(groups) == 1 or self.threads == 1:
            for rows in groups:
                run(rows)
        else:
            # The longest first: then the threads end together.
            for _ in self._pool.map(run, reversed(groups)):
                pass
        return out

    def run(self, windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of windows that are all of one length, as one batch, in this thread.

        Shape: ``w`` windows -> ``(w, L) float32``.
        """
        ids = np.array(windows, dtype=np.int64)
        [values] = self._session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        return np.asarray(values)


def _session(onnx_file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False  # plans memory by shape, and here every batch has another
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(onnx_file),
            options,
            providers=onnxruntime.get_available_providers(),
            # The fused kernel is not vectorised on CPUs: eight times slower than the two nodes it replaces.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # onnxruntime raises several unrelated types
        raise ArtifactError(f"{onnx_file}: ONNX Runtime cannot load it ({error})") from None


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def batches(lengths: Sequence[int], max_tokens: int = MAX_BATCH_TOKENS) -> Iterator[list[int]]:
    """Indices of equal lengths, shortest first; at most ``max_tokens`` together, or one row alone.

    ``batches([5, 900, 6, 900], 1800)`` -> ``[0]``, ``[2]``, ``[1, 3]``.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[index]
        if batch and (length != lengths[batch[0]] or (len(batch) + 1) * length > max_tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
