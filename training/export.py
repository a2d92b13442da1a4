"""A fine-tuned classifier to a model folder: weights, ONNX graph, parity proof, golden texts. Knows no metrics.

Weights are stored as float16 and computed with in float32. The network was rounded to float16 before, so that the
two forms of it, torch's and ONNX Runtime's, hold the same numbers and differ only in the order of additions.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save
from transformers import BertForSequenceClassification

from policytag.artifact import MANIFEST
from policytag.encoding import Encoder, pool
from policytag.engine import Engine
from policytag.errors import InputError, PolicytagError
from training.finetune import Start, predict

log = logging.getLogger(__name__)

PARITY_TOLERANCE = 1e-4
"""Largest logit difference between torch and ONNX Runtime with which a model is written."""
OPSET = 18
SMALL = 256
"""Elements below which an initialiser is not worth a Cast."""
GOLDEN_TEXTS = (
    "对新引进的高层次创业团队,给予最高300万元的项目资助,并提供三年免租的人才公寓。",
    "依托产业园建设集成电路公共技术服务平台,面向中小企业开放测试与流片服务。",
    "推行告知承诺和容缺受理,实现企业开办一件事一次办,全流程网上办理。",
    "设立规模10亿元的产业引导基金,重点投向生物医药和高端装备领域的初创企业。",
    "赴外地举办专场推介会,力争全年签约引进重大项目20个。",
    "加快新能源汽车充电设施布局,支持动力电池回收利用,发展智能网联汽车。",
    "粮食总产量保持稳定,农产品加工业产值增长8%,乡村旅游接待游客120万人次。",
    "本办法自印发之日起施行,有效期三年。",
)
"""Written for this project. Every artifact records its logits for them; serving compares when it loads."""


class ExportError(PolicytagError):
    """A model that cannot be written as it should be."""


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary sibling of ``out`` that takes its place when the block ends well and vanishes when it does not."""
    check_target(out)
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    work, old = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
    if old.exists() and not out.exists():
        old.rename(out)  # what was killed between the two renames below
    for folder in (work, old):
        shutil.rmtree(folder, ignore_errors=True)
    work.mkdir()
    try:
        yield work
        if out.exists():
            out.rename(old)
        work.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(out: Path) -> None:
    """Refuses to replace anything but an empty folder or a model folder.

    Raises:
        InputError: Naming the folder.
    """
    if out.exists() and not (out.is_dir() and ((out / MANIFEST).is_file() or not any(out.iterdir()))):
        raise InputError(f"{out}: exists and is no model folder; expected a new folder or a model to replace")


def write_weights(model: BertForSequenceClassification, folder: Path) -> None:
    """Writes ``config.json`` and ``model.safetensors``: float16 on disk, loaded as float32 by transformers."""
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    settings = json.loads(model.config.to_json_string(use_diff=False))
    for key in [key for key in settings if key.startswith("_")]:
        del settings[key]
    settings.update(architectures=["BertForSequenceClassification"], dtype="float32")
    text = json.dumps(settings, ensure_ascii=False, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


class _Logits(torch.nn.Module):
    """The classifier with two inputs and one output."""

    def __init__(self, model: BertForSequenceClassification) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def write_onnx(model: BertForSequenceClassification, path: Path) -> None:
    """Writes one self-contained graph: ``input_ids, attention_mask (b, t) int64 -> logits (b, L) float32``."""
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=model.config.max_position_embeddings)
    ids = torch.full((2, 8), 1, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    axes = {0: batch, 1: tokens}
    # The exporter prints its progress, and stdout belongs to results.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Logits(model.eval()),
            (ids, mask),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=(axes, axes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    strip(graph)
    store_as_float16(graph)
    onnx.checker.check_model(graph)
    onnx.save_model(graph, str(path))


def strip(model: onnx.ModelProto) -> None:
    """Drops what the exporter notes of the program it traced: source lines, local paths, shapes in passing."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del noted.metadata_props[:]
        noted.doc_string = ""
    del graph.value_info[:]


def store_as_float16(model: onnx.ModelProto) -> int:
    """Turns float32 initialisers that float16 holds exactly into float16 ones with a Cast behind; halves the file.

    ONNX Runtime folds the casts when it loads the graph: computation and speed stay as they were.

    Returns:
        How many initialisers were turned.
    """
    graph, casts = model.graph, []
    for initializer in list(graph.initializer):
        if initializer.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(initializer)
        with np.errstate(over="ignore"):
            small = values.astype(np.float16)
        if values.size < SMALL or not np.array_equal(small.astype(np.float32), values):
            continue
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(small, f"{name}.float16"))
        casts.append(helper.make_node("Cast", [f"{name}.float16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return len(casts)


def onnx_logits(path: Path, encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """What serving will compute. Shape: ``(n, L) float32``."""
    windows, owners, _ = encoder.windows(texts)
    return pool(Engine(path, encoder.pad_id).logits(windows), owners, len(texts))


def check_parity(start: Start, path: Path, texts: Sequence[str]) -> float:
    """The largest difference between torch's and ONNX Runtime's logits on real texts.

    Raises:
        ExportError: If it is above `PARITY_TOLERANCE`.
    """
    gap = float(np.abs(predict(start, texts) - onnx_logits(path, start.encoder, texts)).max())
    log.info("parity: largest logit difference %.1e over %d texts", gap, len(texts))
    if not gap <= PARITY_TOLERANCE:
        raise ExportError(
            f"{path.name}: logits differ by {gap:.2g} from torch's; expected at most {PARITY_TOLERANCE:g}. "
            "The exported graph is not the trained network"
        )
    return gap


def write_golden(path: Path, onnx_file: Path, encoder: Encoder) -> None:
    """Records the logits of `GOLDEN_TEXTS`."""
    rows = onnx_logits(onnx_file, encoder, GOLDEN_TEXTS)
    texts = [
        {"text": text, "logits": [round(float(x), 5) for x in row]}
        for text, row in zip(GOLDEN_TEXTS, rows, strict=True)
    ]
    path.write_text(json.dumps({"texts": texts}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_model(start: Start, folder: Path, texts: Sequence[str]) -> float:
    """Writes all that is the network: weights, tokenizer, graph, golden texts.

    Args:
        start: Its model, trained and rounded.
        texts: Real texts to compare torch and ONNX Runtime on.

    Returns:
        The largest logit difference found.
    """
    write_weights(start.model, folder)
    for file in sorted(start.tokenizer_folder.iterdir()):
        shutil.copyfile(file, folder / file.name)
    write_onnx(start.model, folder / "model.onnx")
    gap = check_parity(start, folder / "model.onnx", texts)
    write_golden(folder / "golden.json", folder / "model.onnx", start.encoder)
    return gap
