"""This project's tagger and others, in process, on the same weights and threads. Each takes all texts at once.

The others get what a careful user would give them: length-sorted batches of at most 2,048 padded tokens, the pipeline
its best batch size. Knows nothing of clocks.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification

from policytag.encoding import pad
from policytag.tagger import Tagger
from policytag.text import Paragraph

MAX_TOKENS = 2048
PIPELINE_BATCHES = (1, 8, 32)
Contender = Callable[[Sequence[str]], object]


def ours(model: Path, threads: int, form: str) -> Contender:
    """`Tagger.tag`: text to tags."""
    tagger = Tagger.load(model, threads, form)
    return lambda texts: tagger.tag([Paragraph(str(i), "", i, text) for i, text in enumerate(texts)])


def pipeline(model: Path, batch_size: int) -> Contender:
    """``transformers.pipeline`` as its documentation shows it."""
    classify: Any = transformers.pipeline(
        "text-classification", model=str(model), top_k=None, function_to_apply="sigmoid", device="cpu"
    )
    return lambda texts: classify(list(texts), batch_size=batch_size, truncation=True)


def large_bert(model: Path) -> Contender:
    """A 12 x 768 BERT over characters, random weights: as many tokens as characters; length-sorted batches in torch."""
    network = BertForSequenceClassification(BertConfig(vocab_size=21128)).eval()
    rng = np.random.default_rng(0)

    def run(texts: Sequence[str]) -> None:
        windows = [rng.integers(5, 21128, min(len(text) + 2, 512)).tolist() for text in texts]
        with torch.inference_mode():
            for batch in sorted_batches(windows):
                ids, mask = map(torch.from_numpy, pad(batch, 0))
                network(input_ids=ids, attention_mask=mask)

    return run


def plain_onnx(model: Path, folder: Path) -> tuple[Path, Path]:
    """The network as ``torch.onnx.export`` writes it, and that with ONNX Runtime's dynamic quantisation."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    network = BertForSequenceClassification.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
    plain, small = folder / "plain.onnx", folder / "plain.int8.onnx"
    ids = torch.ones(2, 8, dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), (ids, torch.ones_like(ids)), str(plain), input_names=["input_ids", "attention_mask"],
            output_names=["logits"], dynamic_shapes={"input_ids": axes, "attention_mask": axes}, opset_version=18,
            dynamo=True, verbose=False, external_data=False,
        )  # fmt: skip
        quantize_dynamic(plain, small, weight_type=QuantType.QInt8, per_channel=True)
    return plain, small


def onnx_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session with the defaults but for the number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx(path: Path, model: Path, threads: int) -> Contender:
    """Plain ONNX Runtime: tokenised by this project's encoder, length-sorted padded batches, threads within a batch."""
    session, encoder = onnx_session(path, threads), Tagger.load(model).encoder

    def run(texts: Sequence[str]) -> None:
        for batch in sorted_batches(encoder.windows(texts)[0]):
            ids, mask = pad(batch, encoder.pad_id)
            session.run(["logits"], {"input_ids": ids, "attention_mask": mask})

    return run


def openvino(path: Path, model: Path, threads: int, precision: str) -> Contender:
    """OpenVINO on the plain graph, with its defaults for throughput.

    Args:
        precision: ``f32`` or ``bf16``.
    """
    import openvino  # pyright: ignore[reportMissingImports]  # the bench extra

    core = openvino.Core()
    # Pinning would bind the calling thread, and with it every thread that the other contenders start later, to a core.
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    encoder = Tagger.load(model).encoder

    def run(texts: Sequence[str]) -> None:
        for batch in sorted_batches(encoder.windows(texts)[0]):
            ids, mask = pad(batch, encoder.pad_id)
            request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)

    return run


def sorted_batches(windows: Sequence[list[int]]) -> list[list[list[int]]]:
    """Windows by length, rows x longest row at most `MAX_TOKENS`."""
    batches: list[list[list[int]]] = [[]]
    for window in sorted(windows, key=len):
        if batches[-1] and (len(batches[-1]) + 1) * len(window) > MAX_TOKENS:
            batches.append([])
        batches[-1].append(window)
    return batches
