"""``policytag-train fit``: annotations and an encoder in, a sealed model folder and a report out.

The only module that knows the order of the steps; each step lives in a module of its own.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import TrainerCallback

from policytag import artifact
from policytag.calibration import Calibration, decide, probabilities
from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import (
    annotations,
    baseline,
    card,
    drift,
    export,
    finetune,
    metrics,
    out_of_fold,
    processes,
    resume,
    splits,
    thresholds,
)
from training.annotations import Annotation, gold_matrix, target_matrix
from training.config import SETTINGS, Config
from training.files import locked
from training.finetune import Start
from training.quantisation import Judge, QuantisationError, write_int8

log = logging.getLogger(__name__)

HELD_OUT, DEV, OUT_OF_FOLD = "held-out", "dev", "out-of-fold"
LIBRARIES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "scikit-learn", "numpy")
MAX_PARITY_TEXTS = 400


@dataclass(frozen=True, slots=True)
class Request:
    """What ``fit`` is asked to do.

    Attributes:
        annotations: Files to learn from.
        dev: Files to measure on; empty to measure on the held-out split.
        encoder: Folder or hub name.
        labels: The folder with ``taxonomy.yaml``.
        out: The model folder to write.
        exclude_docs: Documents of ``annotations`` to leave out.
        calibrate_on: ``held-out`` or ``dev``.
        out_of_fold: Logits of models that did not see their rows, to calibrate on instead.
        save_logits: Where to write the logits of the rows measured on; with each fold as ``dev`` once, these files
            together are an ``out_of_fold``.
        observers: Callbacks of the Trainer, such as TensorBoard's.
        with_baseline: Whether to train and report the baseline too.
    """

    annotations: tuple[Path, ...]
    dev: tuple[Path, ...]
    encoder: str
    labels: Path
    out: Path
    exclude_docs: tuple[str, ...] = ()
    calibrate_on: str = HELD_OUT
    out_of_fold: Path | None = None
    save_logits: Path | None = None
    observers: tuple[TrainerCallback, ...] = ()
    with_baseline: bool = True


@dataclass(frozen=True, slots=True)
class Data:
    """Who is what: rows to learn from, to calibrate on, to measure on, and where the latter two come from.

    Attributes:
        out_of_fold: Logits of the calibration rows by models that did not see them, shape ``(n, L) float32``; without
            them the fitted model gives its own.
    """

    train: list[Annotation]
    calibration: list[Annotation]
    dev: list[Annotation]
    calibrated_on: str
    evaluated_on: str
    out_of_fold: NDArray[np.float32] | None = None


def fit(request: Request, config: Config) -> dict[str, Any]:
    """Trains, measures and writes a model.

    Returns:
        The report: what also stands in the folder's ``metrics.json``; an empty one in all processes but the first,
        where several share the training.

    Raises:
        PolicytagError: On bad input; nothing is written then.
    """
    export.check_target(request.out)
    taxonomy = load_taxonomy(request.labels)
    data = read_data(request, taxonomy, config)
    described = _data_report(request, data)
    log.info("%d paragraphs to learn from, %d to calibrate on, %d to measure on",
             len(data.train), len(data.calibration), len(data.dev))  # fmt: skip
    with_baseline = request.with_baseline and processes.is_first()
    distances = _baseline_distances(data, config) if with_baseline else None
    with _work(request, data, config) as work, tempfile.TemporaryDirectory() as scratch:
        start = finetune.prepare(request.encoder, taxonomy, config, Path(scratch))
        texts = [row.text for row in data.train]
        finetune.train(start, texts, target_matrix(data.train), config, work=work, observers=request.observers)
        if not processes.is_first():
            return {}
        logits = finetune.predict(start, [row.text for row in data.dev])
        held_out = _calibration_logits(start, data, logits)
        calibration = calibrate(held_out, gold_matrix(data.calibration), config)
        reference = _reference(start, data, held_out, calibration, taxonomy)
        report = evaluate(logits, distances, calibration, data, taxonomy, config)
        report |= {"encoder": encoder_name(request.encoder), "data": described}
        with export.new_folder(request.out) as folder:
            report["parity"] = export.write_model(start, folder, parity_texts(request.labels, data))
            _write_json(folder / drift.REFERENCE, reference)
            report |= _add_int8(start, folder, data, calibration)
            export.write_golden(folder, start.encoder)
            _write_rest(folder, report, calibration, taxonomy, config)
    if request.save_logits:
        out_of_fold.write(request.save_logits, data.dev, logits, taxonomy)
    return report


@contextmanager
def _work(request: Request, data: Data, config: Config) -> Iterator[Path]:
    """The folder for checkpoints beside the model to write; gone when the model is there, or cannot be."""
    work = request.out.absolute().with_name(f".{request.out.name}.fit")
    main = processes.is_first()
    with locked(work / "lock") if main else nullcontext():
        try:
            rows = [(row.id, row.text, row.targets) for row in data.train]
            identity = {
                "settings": config.to_toml(),
                "data": resume.digest(rows),
                "encoder": encoder_name(request.encoder),
            }
            if main:
                resume.begin(work, identity)
            yield work
        except finetune.TrainingError:
            shutil.rmtree(work)  # going on would fail again
            raise
    if main:
        shutil.rmtree(work)


def _add_int8(start: Start, folder: Path, data: Data, calibration: Calibration) -> dict[str, Any]:
    """The network's 8-bit form, where it passes its gate on the rows to measure on; else the model serves float32."""
    judge = Judge([row.text for row in data.dev], gold_matrix(data.dev), calibration)
    try:
        return {"int8": write_int8(folder, start.encoder, [row.text for row in data.train], judge).to_dict()}
    except QuantisationError as error:
        log.warning("no int8: %s", error)
        return {}


def load_taxonomy(labels: Path) -> Taxonomy:
    """``taxonomy.yaml`` of a labels folder."""
    return Taxonomy.from_yaml(labels / "taxonomy.yaml")


def read_data(request: Request, taxonomy: Taxonomy, config: Config) -> Data:
    """Reads and splits.

    Raises:
        InputError: On a bad row, or a document or id on both sides.
    """
    rows = annotations.read(request.annotations, taxonomy)
    rows = annotations.without(rows, request.exclude_docs)
    dev = annotations.read(request.dev, taxonomy) if request.dev else []
    check_apart(rows, dev)
    if request.out_of_fold:
        if not dev:
            raise InputError("--out-of-fold without --dev: nothing is left to measure on; give --dev")
        calibration, logits = out_of_fold.read(request.out_of_fold, rows, taxonomy)
        return Data(rows, calibration, dev, OUT_OF_FOLD, DEV, logits)
    if request.calibrate_on == DEV:
        if not dev:
            raise InputError("--calibrate-on dev without --dev; give --dev or leave it at held-out")
        return Data(rows, dev, dev, DEV, DEV)
    held_out, rest = split(rows, config)
    return Data(rest, held_out, dev or held_out, HELD_OUT, DEV if dev else HELD_OUT)


def check_apart(rows: Sequence[Annotation], dev: Sequence[Annotation]) -> None:
    """Refuses rows that are learnt from and measured on, or share a document with such.

    Raises:
        InputError: Naming the first document or id.
    """
    docs = sorted({row.doc for row in rows} & {row.doc for row in dev})
    if docs:
        raise InputError(
            f"document '{docs[0]}' is in --annotations and --dev; expected each in one of them, "
            f"add --exclude-doc {docs[0]}"
        )
    ids = sorted({row.id for row in rows} & {row.id for row in dev})
    if ids:
        raise InputError(f"id '{ids[0]}' is in --annotations and --dev; expected unique ids, rename one")


def split(rows: Sequence[Annotation], config: Config) -> tuple[list[Annotation], list[Annotation]]:
    """Held-out rows and rows to learn from; documents stay whole.

    Teachers' opinions are only learnt from. Rows of held-out documents that were chosen because a model doubted them
    (`Config.calibration_skips`) are in neither, where there are others.
    """
    read = [row for row in rows if not row.soft]
    held = splits.hold_out([row.doc for row in read], gold_matrix(read), config.holdout_share, config.seed)
    held_out = [row for row, out in zip(read, held, strict=True) if out]
    docs = {row.doc for row in held_out}
    representative = [row for row in held_out if row.extra.get("sample") != config.calibration_skips]
    return representative or held_out, [row for row in rows if row.doc not in docs]


def calibrate(logits: NDArray[np.float32], gold: NDArray[np.bool_], config: Config) -> Calibration:
    """Temperature and thresholds with the settings' bounds."""
    return thresholds.fit(
        logits, gold, shrink=config.threshold_shrink, low=config.threshold_min, high=config.threshold_max
    )


def _baseline_distances(data: Data, config: Config) -> NDArray[np.float64]:
    """The baseline's scores of the rows to measure on, learnt from the rows that the model learns from."""
    train, dev = ([row.text for row in rows] for rows in (data.train, data.dev))
    return baseline.scores(train, gold_matrix(data.train), dev, config)


def evaluate(
    logits: NDArray[np.float32],
    distances: NDArray[np.float64] | None,
    calibration: Calibration,
    data: Data,
    taxonomy: Taxonomy,
    config: Config,
) -> dict[str, Any]:
    """The figures of the model, and of the baseline where there is one, on the rows to measure on.

    Args:
        logits: The model's, shape ``(n, L) float32``.
        distances: The baseline's scores, shape ``(n, L) float64``.
    """
    gold = gold_matrix(data.dev)
    probability = probabilities(logits, calibration.temperature)
    chosen = decide(probability, calibration.thresholds)
    bootstrap = metrics.Bootstrap.draw([row.doc for row in data.dev], config.resamples, config.seed)
    report: dict[str, Any] = {
        "evaluated_on": data.evaluated_on,
        "calibrated_on": data.calibrated_on,
        "seed": config.seed,
        "temperature": calibration.temperature,
        "thresholds": dict(zip(taxonomy.ids, calibration.thresholds, strict=True)),
        "model": metrics.score(gold, chosen, probability, taxonomy, bootstrap),
        "calibration_error": metrics.calibration_errors(probability, gold, taxonomy),
    }
    halves = bootstrap.counts(gold, decide(probability, [0.5] * len(taxonomy)))
    report["macro_f1_at_half"] = {
        name: round(float(metrics.macro_f1(halves.sum(axis=1)[:, columns])), 4)
        for name, columns in metrics.groups(taxonomy).items()
    }
    if distances is not None:
        report["baseline"] = metrics.score(gold, distances > 0, distances, taxonomy, bootstrap)
        ours, theirs = bootstrap.counts(gold, chosen), bootstrap.counts(gold, distances > 0)
        report["difference"] = metrics.difference(ours, theirs, taxonomy, bootstrap)
    return report


def encoder_name(source: str) -> str:
    """What the artifact calls its encoder: a hub name as it is, a folder by its name and the weights' hash."""
    folder = Path(source)
    if not folder.is_dir():
        return source
    weights = folder / "model.safetensors"
    digest = f" (sha256 {artifact.sha256(weights)[:12]})" if weights.is_file() else ""
    return folder.resolve().name + digest


def parity_texts(labels: Path, data: Data) -> list[str]:
    """Texts to compare torch and ONNX Runtime on: the corpus where there is one, else the rows to measure on."""
    lines = [
        line
        for file in sorted((labels / "corpus").glob("*.txt"))
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    return (lines or [row.text for row in data.dev])[:MAX_PARITY_TEXTS]


def _calibration_logits(start: Start, data: Data, dev_logits: NDArray[np.float32]) -> NDArray[np.float32]:
    if data.out_of_fold is not None:
        return data.out_of_fold
    if data.calibration is data.dev:
        return dev_logits
    return finetune.predict(start, [row.text for row in data.calibration])


def _reference(
    start: Start, data: Data, logits: NDArray[np.float32], calibration: Calibration, taxonomy: Taxonomy
) -> dict[str, Any]:
    """What later runs are compared with: the paragraphs calibrated on, which the model did not learn from."""
    texts = [row.text for row in data.calibration]
    probability = probabilities(logits, calibration.temperature)
    chosen = decide(probability, calibration.thresholds)
    unknown = drift.unknown_share(start.encoder, texts)
    return drift.profile(probability, chosen, [len(text) for text in texts], unknown, taxonomy)


def _data_report(request: Request, data: Data) -> dict[str, Any]:
    sets = {"train": data.train, "calibration": data.calibration, "evaluation": data.dev}
    counts: dict[str, Any] = {
        name: {"paragraphs": len(rows), "documents": len(annotations.documents(rows))} for name, rows in sets.items()
    }
    files = [*request.annotations, *request.dev, *([request.out_of_fold] if request.out_of_fold else [])]
    names = [file.name for file in files]
    unique = [file.name if names.count(file.name) == 1 else f"{file.parent.name}/{file.name}" for file in files]
    counts["files"] = {name: artifact.sha256(file) for name, file in zip(unique, files, strict=True)}
    counts["learnt_from"] = {name: counts["files"][name] for name in unique[: len(request.annotations)]}
    counts["excluded_documents"] = list(request.exclude_docs)
    return counts


def _write_rest(
    folder: Path, report: Mapping[str, Any], calibration: Calibration, taxonomy: Taxonomy, config: Config
) -> None:
    """All files but the network's, then the seal."""
    _write_json(folder / "calibration.json", calibration.to_dict(taxonomy.ids))
    _write_json(folder / "taxonomy.json", taxonomy.to_dict())
    _write_json(folder / "metrics.json", report)
    (folder / SETTINGS).write_text(config.to_toml(), encoding="utf-8")
    (folder / "README.md").write_text(card.render(report, taxonomy, config), encoding="utf-8")
    artifact.seal(
        folder,
        taxonomy=taxonomy.version,
        encoder=report["encoder"],
        data=report["data"]["files"],
        recipe=config.recipe,
        metrics=metrics.headline(report),
        versions={library: version(library) for library in LIBRARIES},
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
