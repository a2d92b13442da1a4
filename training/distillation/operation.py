"""``policytag-train distil``: the order of the steps, and the files each of them leaves for the next run to find."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from policytag.calibration import sigmoid
from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import annotations, export, finetune, fit, jsonl, out_of_fold, resume, soft_labels
from training.annotations import Annotation, target_matrix
from training.config import SETTINGS, Config
from training.distillation import student
from training.distillation.batches import Loader, Specials, Stream
from training.distillation.learning import Optimiser, learn, predict, read_masked
from training.distillation.teacher import Teacher
from training.distillation.texts import Texts, Windows
from training.files import locked, replacing
from training.pretraining.text import comparable, excluded_texts
from training.tokenizer import SPECIAL_TOKENS, load_tokenizer, save_tokenizer

log = logging.getLogger(__name__)

READINGS = ("whole", "pieces")
"""The teacher is fine-tuned twice: once it reads a paragraph as a whole, once as serving does."""
TEACHER_ROW, STUDENT_ROW = 256, 128
"""Tokens of a row of plain text."""
TEACHER_SHARE, STUDENT_SHARE = 0.2, 0.15
"""Of the tokens to be guessed."""
TEACHER_RATE, TOKEN_RATE, LABEL_RATE, LABEL_TOKEN_RATE, HEAD_RATE = 2.5e-3, 2e-3, 3e-4, 2e-4, 2e-3
"""Peak learning rates of the teacher: its matrices and token vectors on plain text, the same on labels, its head."""
STUDENT_RATE, SOFT_RATE = 1e-3, 1.5e-3
LABEL_DROPOUT, SOFT_DROPOUT = 0.1, 0.05
POSSIBLE, EMPTY_SHARE = 0.1, 0.3
"""A pass of the student has every paragraph with a label at least so probable, and this share of the others."""
LABEL_WEIGHT = 0.5
"""Of the label in the target of an annotated paragraph; the teacher's probability has the rest."""
JOIN_TOKENS = 60
"""Paragraphs of at most so many tokens are put behind one another, in new pairs each time: the student shall not learn
the answers by heart."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and lengths.

    Attributes:
        hidden: Of the teacher, a multiple of 64.
        layers: Of the teacher.
        teacher_passes: Of the teacher over the plain text.
        label_passes: Of the teacher over the annotations.
        student_passes: Of the student over the plain text.
        soft_passes: Of the student over the teacher's probabilities.
        batch_tokens: Tokens a step of the teacher; the student's steps have twice as many.
    """

    hidden: int
    layers: int
    teacher_passes: float
    label_passes: float
    student_passes: float
    soft_passes: float
    batch_tokens: int

    def __post_init__(self) -> None:
        for key, value in asdict(self).items():
            low, high = _RANGES.get(key, (0, 1000))
            if not low <= value <= high:
                raise InputError(f"--{key.replace('_', '-')} {value:g}; expected {low:g} to {high:g}")


OF_STUDENT = {"student_passes", "soft_passes"}
"""What of a plan does not reach the teacher."""
_RANGES = {"hidden": (64, 4096), "layers": (1, 100), "batch_tokens": (64, 1_000_000)}
"""Limits of a plan's numbers; the others are 0 to 1,000."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is learnt from, and where the result goes.

    Attributes:
        text: Plain text, ``.txt`` or ``.txt.xz``.
        annotations: Annotated paragraphs; a share of their documents is held out, to calibrate on.
        dev: Annotated paragraphs that are only measured on.
        start: The model or encoder that becomes the student.
        labels: The folder with ``taxonomy.yaml``.
        out: The folder to write: an encoder with a head, for ``fit``.
        work: Where steps that are done leave what they found.
        save_logits: The student's logits of the held-out rows, for ``fit --out-of-fold``.
        save_soft: The teacher's probabilities, as rows for ``fit``.
    """

    text: tuple[Path, ...]
    annotations: tuple[Path, ...]
    dev: tuple[Path, ...]
    start: str
    labels: Path
    out: Path
    work: Path
    save_logits: Path | None = None
    save_soft: Path | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """All texts: first the plain text's paragraphs, then the annotated ones that are not among them.

    Attributes:
        drawn: Document number and paragraph, in the order of the text.
        known: The annotated rows that are learnt from, and where their texts are.
        held_out: The rows to calibrate on.
        dev: The rows to measure on.
        apart: Texts of documents that are held out, shape ``(n,) bool``: never learnt from with targets.
    """

    texts: Texts
    drawn: list[tuple[int, str]]
    known: list[Annotation]
    held_out: list[Annotation]
    dev: list[Annotation]
    places: dict[str, int]
    apart: NDArray[np.bool_]

    def where(self, rows: Sequence[Annotation]) -> NDArray[np.int64]:
        """The texts of rows."""
        return np.array([self.places[comparable(row.text)] for row in rows], dtype=np.int64)

    @property
    def free(self) -> NDArray[np.bool_]:
        """Texts that are neither apart nor annotated. Shape: ``(n,) bool``."""
        free = ~self.apart
        free[self.where(self.known)] = False
        return free


def distil(request: Request, plan: Plan, config: Config) -> None:
    """Trains the teacher, then the student, and writes the student.

    Raises:
        PolicytagError: On bad input; a step that was done is not repeated by the next run.
    """
    export.check_target(request.out)
    taxonomy = fit.load_taxonomy(request.labels)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with locked(request.work / "lock"), tempfile.TemporaryDirectory() as scratch:
        start = finetune.prepare(request.start, taxonomy, config, Path(scratch))
        material = gather(request, taxonomy, config, start)
        _check_batches(plan, material)
        _begin(request, plan, config, material)
        log.info("%d paragraphs of text, %d annotated to learn from, %d held out; %s",
                 len(material.drawn), len(material.known), len(material.held_out), device)  # fmt: skip
        tokenizer = load_tokenizer(str(start.tokenizer_folder))
        loader = Loader(material.texts, specials(tokenizer, start.model.config.vocab_size), device)
        opinions = _teach(request, plan, config, material, start, loader)
        soft = np.mean(opinions, axis=0)
        _measure(dict(zip(READINGS, opinions, strict=True)) | {"teacher": soft}, material, taxonomy, config)
        probability = sigmoid(soft)
        model: Any = start.model
        model.to(device)
        _learn(model, probability, plan, config, material, loader)
        found = predict(lambda batch: student.logits(model, batch), loader, material.texts.pieces,
                        len(material.texts), 2 * plan.batch_tokens)  # fmt: skip
        _measure({"student": found}, material, taxonomy, config)
        model.cpu()
        finetune.round_weights(model)
        with export.new_folder(request.out) as folder:
            export.write_weights(model, folder)
            (folder / SETTINGS).write_text(config.to_toml(), encoding="utf-8")
            save_tokenizer(tokenizer, folder, config.max_tokens)
        if request.save_logits:
            rows = material.held_out
            out_of_fold.write(request.save_logits, rows, found[material.where(rows)], taxonomy)
        if request.save_soft:
            _save_soft(request.save_soft, probability, material, taxonomy, config)


def gather(request: Request, taxonomy: Taxonomy, config: Config, start: finetune.Start) -> Material:
    """Reads and tokenises everything; `fit.split` says what is held out."""
    rows = annotations.read(request.annotations, taxonomy)
    dev = annotations.read(request.dev, taxonomy) if request.dev else []
    fit.check_apart(rows, dev)
    held_out, known = fit.split(rows, config)
    drawn = soft_labels.draw(request.text, excluded_texts(request.dev), None, config.seed)
    texts = [text for _, text in drawn]
    places = {comparable(text): place for place, text in enumerate(texts)}
    for row in (*known, *held_out, *dev):
        if (key := comparable(row.text)) not in places:
            places[key] = len(texts)
            texts.append(row.text)
    closed = {row.doc for row in (*held_out, *dev)}
    apart = np.ones(len(texts), dtype=bool)
    apart[: len(drawn)] = [f"{soft_labels.DOC_PREFIX}/{document}" in closed for document, _ in drawn]
    apart[[places[comparable(row.text)] for row in (*held_out, *dev)]] = True
    return Material(Texts.encode(start.encoder, texts), drawn, known, held_out, dev, places, apart)


def _check_batches(plan: Plan, material: Material) -> None:
    longest = max(TEACHER_ROW, int(material.texts.pieces.tokens.max()), int(_evenly(material.texts).tokens.max()))
    if plan.batch_tokens < longest:
        raise InputError(
            f"--batch-tokens {plan.batch_tokens}; expected at least {longest}, which the longest text needs"
        )


def _evenly(texts: Texts) -> Windows:
    return texts.evenly(TEACHER_ROW - 2)


def specials(tokenizer: Tokenizer, vocabulary: int) -> Specials:
    """The ids of a tokenizer's special tokens."""
    ids = [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS]
    known = [token for token in ids if token is not None]
    if len(known) < len(ids):
        raise InputError(f"tokenizer of --encoder: expected all of {' '.join(SPECIAL_TOKENS)}")
    pad, _, cls, sep, mask = known
    return Specials(pad, cls, sep, mask, max(known) + 1, vocabulary)


def _begin(request: Request, plan: Plan, config: Config, material: Material) -> None:
    rows = [(row.id, row.text, row.targets) for row in (*material.known, *material.held_out)]
    teacher = {key: value for key, value in asdict(plan).items() if key not in OF_STUDENT}
    identity = {
        "settings": config.to_toml(),
        "teacher": str(teacher),
        "text": resume.digest(material.drawn),
        "annotations": resume.digest(rows),
        "start": fit.encoder_name(request.start),
    }
    resume.begin(request.work, identity)


def _teach(
    request: Request, plan: Plan, config: Config, material: Material, start: finetune.Start, loader: Loader,
) -> list[NDArray[np.float32]]:  # fmt: skip
    """The teacher's logits of all texts, one array ``(n, L) float32`` a reading."""
    windows = {READINGS[0]: _evenly(material.texts), READINGS[1]: material.texts.pieces}
    words = start.model.bert.embeddings.word_embeddings.weight.detach()
    labels = start.model.classifier.out_features
    read = request.work / "teacher.safetensors"
    opinions = []
    for number, reading in enumerate(READINGS):
        told = request.work / f"{reading}.npy"
        if not told.exists():
            torch.manual_seed(config.seed)
            teacher = Teacher(len(words), plan.hidden, plan.layers, labels, words).to(loader.device)
            if not read.exists():
                _read(teacher, plan, config, material, loader)
                with replacing(read) as path:
                    save_file(teacher.state_dict(), path)
            teacher.load_state_dict(load_file(read))
            _label(teacher, reading, windows[reading], plan, config.seed + number, material, loader)
            found = predict(_reader(teacher, reading), loader, windows[reading], len(material.texts), plan.batch_tokens)
            with replacing(told) as path, path.open("wb") as file:
                np.save(file, found)
        opinions.append(np.load(told))
    return opinions


def _reader(teacher: Teacher, reading: str, dropout: float = 0.0) -> Any:
    return lambda batch: teacher.logits(batch, whole=reading == READINGS[0], dropout=dropout)


def _read(teacher: Teacher, plan: Plan, config: Config, material: Material, loader: Loader) -> None:
    stream = Stream(material.texts, len(material.drawn), loader.specials, TEACHER_ROW, loader.device)
    optimiser = Optimiser(teacher.matrices, TEACHER_RATE, [([teacher.embedding, teacher.bias], TOKEN_RATE)])
    read_masked("teacher, plain text", teacher.masked_loss, optimiser, stream, tokens=plan.batch_tokens,
                share=TEACHER_SHARE, passes=plan.teacher_passes, seed=config.seed)  # fmt: skip


def _label(
    teacher: Teacher, reading: str, windows: Windows, plan: Plan, seed: int, material: Material, loader: Loader,
) -> None:  # fmt: skip
    rows = material.where(material.known)
    targets = np.zeros((len(material.texts), len(teacher.prior)), dtype=np.float32)
    targets[rows] = target_matrix(material.known)
    others = [([teacher.embedding], LABEL_TOKEN_RATE), ([teacher.query, teacher.value, teacher.prior], HEAD_RATE)]
    learn(
        f"teacher, labels, {reading}", _reader(teacher, reading, LABEL_DROPOUT),
        Optimiser(teacher.matrices, LABEL_RATE, others), loader, windows, torch.from_numpy(targets).to(loader.device),
        lambda rng: rows, tokens=plan.batch_tokens, passes=plan.label_passes, fall=0.95, seed=seed,
    )  # fmt: skip


def _learn(
    model: Any, probability: NDArray[np.float32], plan: Plan, config: Config, material: Material, loader: Loader,
) -> None:  # fmt: skip
    """The student: plain text, then the teacher's probabilities."""
    tokens = 2 * plan.batch_tokens
    if plan.student_passes:
        row = min(STUDENT_ROW, model.config.max_position_embeddings)
        stream = Stream(material.texts, len(material.drawn), loader.specials, row, loader.device)
        head = student.MaskedHead(model).to(loader.device)
        body = [p for name, p in model.named_parameters() if not name.startswith(("classifier", "bert.pooler"))]
        read_masked("student, plain text", lambda *given: head.loss(model, *given),
                    Optimiser([], 0.0, [([*body, *head.parameters()], STUDENT_RATE)]), stream, tokens=tokens,
                    share=STUDENT_SHARE, passes=plan.student_passes, seed=config.seed)  # fmt: skip
    rows = material.where(material.known)
    targets = probability.copy()
    targets[rows] = LABEL_WEIGHT * target_matrix(material.known) + (1 - LABEL_WEIGHT) * probability[rows]
    free = material.free
    likely = probability.max(axis=1) >= POSSIBLE
    always, empty = np.concatenate([rows, np.flatnonzero(free & likely)]), np.flatnonzero(free & ~likely)

    def draws(rng: np.random.Generator) -> NDArray[np.int64]:
        return np.concatenate([always, rng.choice(empty, round(EMPTY_SHARE * len(empty)), replace=False)])

    most = min(JOIN_TOKENS, (model.config.max_position_embeddings - 2) // 2)
    short = (material.texts.pieces.number == 1) & (material.texts.length <= most)
    learn(
        "student, probabilities", lambda batch: student.logits(model, batch, SOFT_DROPOUT),
        Optimiser([], 0.0, [(model.parameters(), SOFT_RATE)]), loader, material.texts.pieces,
        torch.from_numpy(targets).to(loader.device), draws, tokens=tokens, passes=plan.soft_passes, fall=0.7,
        seed=config.seed, join=short,
    )  # fmt: skip


def _measure(opinions: dict[str, NDArray[np.float32]], material: Material, taxonomy: Taxonomy, config: Config) -> None:
    for name, rows in (("held out", material.held_out), ("dev", material.dev)):
        if rows:
            at = material.where(rows)
            named = {f"{who}, {name}": logits[at] for who, logits in opinions.items()}
            soft_labels.measure(named, rows, taxonomy, config)


def _save_soft(
    path: Path, probability: NDArray[np.float32], material: Material, taxonomy: Taxonomy, config: Config
) -> None:
    free = material.free[: len(material.drawn)]
    kept = soft_labels.keep(probability[: len(free)], POSSIBLE, EMPTY_SHARE, config.seed)
    jsonl.write(path, soft_labels.rows(material.drawn, probability, kept[free[kept]], taxonomy.ids))
