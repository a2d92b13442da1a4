"""A fine-tuned classifier to a model folder: weights, ONNX graphs, parity proof, golden texts.

Weights are stored as float16 and computed with in float32. The network was rounded to float16 before, so that the
two forms of it, torch's and ONNX Runtime's, hold the same numbers and differ only in the order of additions.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from transformers import BertForSequenceClassification

from policytag.artifact import GOLDEN_KEYS, GRAPHS, MANIFEST
from policytag.encoding import Encoder
from policytag.errors import InputError, PolicytagError
from training import graph
from training.finetune import Start, predict
from training.quantisation import onnx_logits

log = logging.getLogger(__name__)

PARITY_TOLERANCE = 1e-4
"""Largest logit difference between torch and ONNX Runtime with which a model is written."""
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


def write_model(start: Start, folder: Path, texts: Sequence[str]) -> float:
    """Writes the network in float32: weights, tokenizer, graph.

    Args:
        start: Its model, trained and rounded.
        texts: Real texts to compare torch and ONNX Runtime on.

    Returns:
        The largest logit difference found.
    """
    write_weights(start.model, folder)
    for file in sorted(start.tokenizer_folder.iterdir()):
        shutil.copyfile(file, folder / file.name)
    return check_parity(start, graph.write(folder, GRAPHS["fp32"]), texts)


def write_golden(folder: Path, encoder: Encoder) -> None:
    """Records the logits that each of the folder's graphs gives for `GOLDEN_TEXTS`."""
    texts: list[dict[str, Any]] = [{"text": text} for text in GOLDEN_TEXTS]
    for form, key in GOLDEN_KEYS.items():
        if (folder / GRAPHS[form]).is_file():
            rows = onnx_logits(folder / GRAPHS[form], encoder, GOLDEN_TEXTS)
            for entry, row in zip(texts, rows, strict=True):
                entry[key] = [round(float(x), 5) for x in row]
    content = json.dumps({"texts": texts}, ensure_ascii=False, indent=1) + "\n"
    (folder / "golden.json").write_text(content, encoding="utf-8")
