"""Fixtures shared by all tests: a tiny artifact whose tags can be told by eye, and a way to run a server.

Needs neither torch nor a trained model.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import hypothesis
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from policytag import artifact
from policytag.encoding import SENTENCE_ENDS, Recipe

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

LABELS = {
    "subsidy": ("instrument", "资金补贴", "补"),
    "talent": ("instrument", "人才引进", "才"),
    "platform": ("instrument", "平台建设", "台"),
    "approval_reform": ("instrument", "审批改革", "审"),
    "finance": ("instrument", "金融支持", "贷"),
    "investment_promotion": ("instrument", "招商引资", "招"),
    "information_technology": ("industry", "信息技术", "软"),
    "biomedicine": ("industry", "生物医药", "药"),
    "equipment": ("industry", "装备制造", "装"),
    "materials": ("industry", "新材料", "材"),
    "automotive": ("industry", "汽车", "车"),
    "energy_environment": ("industry", "能源环保", "能"),
    "financial_services": ("industry", "金融业", "银"),
    "commerce_logistics": ("industry", "商贸物流", "商"),
    "culture_tourism": ("industry", "文化旅游", "游"),
    "professional_services": ("industry", "专业服务", "律"),
    "agriculture": ("industry", "农业", "农"),
    "construction_real_estate": ("industry", "建筑房地产", "建"),
}
"""Label id -> facet, Chinese name, and the one character that switches the label on in the tiny model."""

OFF, ON = -4.0, 3.0
"""The tiny model's logits; a label's logit is ``ON`` plus a tenth of its column where its character occurs."""

TEXTS = ("对企业给予补贴。", "引进人才，审批提速。", "软件产业")


def tiny_logits(text: str) -> list[float]:
    """What the tiny model answers: ``"补"`` -> ``[3.0, -4.0, …]``."""
    return [ON + column / 10 if char in text else OFF for column, (_, _, char) in enumerate(LABELS.values())]


def write_tiny_artifact(folder: Path) -> Path:
    """Writes and seals a complete model folder."""
    folder.mkdir(parents=True)
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])}
    known = [*(char for _, _, char in LABELS.values()), *SENTENCE_ENDS]
    vocabulary |= {char: len(vocabulary) + i for i, char in enumerate(known)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_graph(folder / "model.onnx", vocabulary)
    labels = [
        {"id": i, "facet": f, "name_zh": n, "name_en": i.title(), "definition": f"含「{c}」字。", "crosswalk": {}}
        for i, (f, n, c) in LABELS.items()
    ]
    _write_json(folder / "taxonomy.json", {"version": "1", "labels": labels})
    _write_json(folder / "config.json", {"model_type": "bert", "id2label": dict(enumerate(LABELS))})
    _write_json(folder / "calibration.json", {"temperature": 1.0, "thresholds": dict.fromkeys(LABELS, 0.5)})
    _write_json(folder / "golden.json", {"texts": [{"text": t, "logits": tiny_logits(t)} for t in TEXTS]})
    (folder / "model.safetensors").write_bytes(b"tiny")
    (folder / "README.md").write_text("# Tiny\n", encoding="utf-8")
    artifact.seal(
        folder,
        taxonomy="1",
        encoder="tiny",
        data={},
        recipe=Recipe(max_tokens=64, overlap=8, max_chars=400),
        metrics={},
        versions={},
    )
    return folder


def _write_graph(path: Path, vocabulary: dict[str, int]) -> None:
    """Logits as the maximum over unmasked tokens of a row of numbers a token: alone or in a batch, the same."""
    table = np.full((len(vocabulary), len(LABELS)), OFF, dtype=np.float32)
    for column, (_, _, char) in enumerate(LABELS.values()):
        table[vocabulary[char], column] = ON + column / 10
    constants = {
        "table": table,
        "one": np.array(1, dtype=np.float32),
        "low": np.array(1e4, dtype=np.float32),
        "last": np.array([2], dtype=np.int64),
        "tokens": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["mask", "one"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "low"], ["penalty"]),
        helper.make_node("Unsqueeze", ["penalty", "last"], ["penalties"]),
        helper.make_node("Add", ["rows", "penalties"], ["masked"]),
        helper.make_node("ReduceMax", ["masked", "tokens"], ["logits"], keepdims=0),
    ]
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "t"]) for n in ("input_ids", "attention_mask")]
    out = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", len(LABELS)])]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", ids, out, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sealed artifact that tags by single characters, see `LABELS`. Do not change its files."""
    return write_tiny_artifact(tmp_path_factory.mktemp("models") / "tiny")


START_SECONDS = 180


@pytest.fixture(scope="session")
def running_server() -> Callable[[list[str], dict[str, str]], AbstractContextManager[str]]:
    """Starts a command with ``--port`` and a free port, waits until it is ready, gives its URL, and ends it."""
    return _running_server


@contextmanager
def _running_server(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended before it was ready"
        try:
            if httpx.get(f"{url}/readyz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the server was not ready after {START_SECONDS} s")
