"""``policytag-train quantise``: the graphs of a model folder anew, its weights, labels and thresholds as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import BertForSequenceClassification

from policytag import artifact
from policytag.artifact import GRAPHS
from policytag.encoding import Encoder
from training import annotations, card, config, export, graph, metrics
from training.annotations import gold_matrix
from training.finetune import Start
from training.quantisation import Comparison, Judge, write_int8

LIBRARIES = ("onnx", "onnxruntime")
MAX_PARITY_TEXTS = 400


def reexport(model: Path, calibrate_on: Sequence[Path], check_on: Sequence[Path], out: Path) -> Comparison:
    """Writes a model folder's float32 and 8-bit graphs anew.

    Args:
        model: A model folder; it is verified first.
        calibrate_on: Annotated paragraphs to measure activation ranges on.
        check_on: Annotated paragraphs for the gate.
        out: The folder to write, which may be ``model``.

    Raises:
        PolicytagError: On bad input, or if a form of the network answers too differently; nothing is written then.
    """
    export.check_target(out)
    source = artifact.load(model)
    typical, judged = (annotations.read(files, source.taxonomy) for files in (calibrate_on, check_on))
    judge = Judge([row.text for row in judged], gold_matrix(judged), source.calibration)
    with export.new_folder(out) as folder:
        for name in source.manifest.files:
            if name not in GRAPHS.values():
                shutil.copyfile(model / name, folder / name)
        start = _start(folder, source)
        parity_texts = [row.text for row in typical[:MAX_PARITY_TEXTS]]
        parity = export.check_parity(start, graph.write(folder, GRAPHS["fp32"]), parity_texts)
        comparison = write_int8(folder, start.encoder, [row.text for row in typical], judge)
        export.write_golden(folder, start.encoder)
        _seal(folder, source, parity, comparison)
    return comparison


def _start(folder: Path, source: artifact.Artifact) -> Start:
    network = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return Start(network.eval(), Encoder(folder / "tokenizer.json", source.manifest.recipe), folder)


def _seal(folder: Path, source: artifact.Artifact, parity: float, comparison: Comparison) -> None:
    """The report, the card and the manifest with what is new."""
    report = artifact.read_json(folder / "metrics.json") | {"parity": parity, "int8": comparison.to_dict()}
    (folder / "metrics.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    settings = config.load(folder / config.SETTINGS)
    (folder / "README.md").write_text(card.render(report, source.taxonomy, settings), encoding="utf-8")
    manifest = source.manifest
    artifact.seal(
        folder,
        taxonomy=manifest.taxonomy,
        encoder=manifest.encoder,
        data=manifest.data,
        recipe=manifest.recipe,
        metrics=metrics.headline(report),
        versions={**manifest.versions, **{library: version(library) for library in LIBRARIES}},
    )
