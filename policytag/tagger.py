"""Paragraphs in, predictions out: the only place that knows the whole path from text to tags."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from policytag import artifact
from policytag.artifact import GRAPHS, Artifact
from policytag.calibration import decide, probabilities
from policytag.encoding import Encoder, pool
from policytag.engine import Engine
from policytag.errors import ArtifactError, InputError
from policytag.taxonomy import Taxonomy
from policytag.text import Paragraph, is_blank

logger = logging.getLogger(__name__)

GOLDEN_TOLERANCE = {"fp32": 2e-3, "int8": 0.15}
"""Largest logit difference to the recorded golden texts that other processors' rounding explains, by the network's
form: a difference in the seventh digit can move an 8-bit activation to its neighbour, about 0.05 in a logit."""
AUTO = "auto"
MAX_TEXTS_AT_ONCE = 2048
"""Texts tokenised at a time: bounds the memory of a call, whatever its length."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label's probability for one paragraph, and whether it was assigned."""

    label_id: str
    probability: float
    threshold: float
    assigned: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """All labels' scores for one paragraph, in column order.

    Attributes:
        truncated: The text was longer than the recipe reads; the tags are those of its beginning.
        model_version: The version of the model that gave the scores.
    """

    paragraph: Paragraph
    scores: tuple[LabelScore, ...]
    truncated: bool
    model_version: str

    def assigned(self, taxonomy: Taxonomy, facet: str) -> list[LabelScore]:
        """The assigned labels of a facet, most probable first."""
        scores = [self.scores[column] for column in taxonomy.facet_columns(facet)]
        return sorted((s for s in scores if s.assigned), key=lambda s: -s.probability)


class Tagger:
    """A verified artifact, ready to tag. Safe to share between threads.

    Example:
        >>> tagger = Tagger.load(Path("models/current"))
        >>> [p] = tagger.tag([Paragraph("a", "doc", 0, "对入驻孵化器的企业给予租金补贴。")])
        >>> [s.label_id for s in p.assigned(tagger.taxonomy, "instrument")]
        ['subsidy', 'platform']
    """

    def __init__(self, model: Artifact, form: str = "fp32", threads: int = 0) -> None:
        self.artifact = model
        self.form = form
        self.encoder = Encoder(model.tokenizer_file, model.manifest.recipe)
        self.engine = Engine(model.graphs[form], threads)
        if self.engine.num_labels != len(model.taxonomy):
            raise ArtifactError(
                f"{model.graphs[form]}: {self.engine.num_labels} outputs; the taxonomy has {len(model.taxonomy)} labels"
            )

    @classmethod
    def load(cls, folder: Path, threads: int = 0, engine: str | None = None) -> Tagger:
        """Verifies a model folder, loads it, and has it answer its golden texts.

        Args:
            threads: Batches computed at once; 0 for as many as there are processors.
            engine: The network's form, ``int8`` or ``fp32``. ``auto`` takes ``int8`` where the folder has it and this
                processor gives its recorded answers. None for ``POLICYTAG_ENGINE``, and ``auto`` where that is unset.

        Raises:
            InputError: If there is no such form.
            ArtifactError: If a file is missing, changed or mismatched, or the model answers otherwise than recorded.
        """
        engine = engine or os.environ.get("POLICYTAG_ENGINE") or AUTO
        if engine not in (AUTO, *GRAPHS):
            raise InputError(f"engine '{engine}'; expected {AUTO}, {' or '.join(GRAPHS)} (POLICYTAG_ENGINE)")
        model = artifact.load(folder)
        if engine not in (AUTO, *model.graphs):
            raise ArtifactError(
                f"{folder}: has no {GRAPHS[engine]}; make it by 'policytag-train quantise', or use fp32"
            )
        if engine == AUTO and "int8" in model.graphs:
            try:
                return cls._verified(model, "int8", threads)
            except ArtifactError as error:
                logger.warning("int8 does not suit this processor, using fp32: %s", error)
        return cls._verified(model, "fp32" if engine == AUTO else engine, threads)

    @classmethod
    def _verified(cls, model: Artifact, form: str, threads: int) -> Tagger:
        tagger = cls(model, form, threads)
        tagger.verify()
        return tagger

    @property
    def taxonomy(self) -> Taxonomy:
        return self.artifact.taxonomy

    @property
    def version(self) -> str:
        return self.artifact.manifest.version

    @property
    def golden_texts(self) -> list[str]:
        """The texts whose logits were recorded when the model was made."""
        return [golden.text for golden in self.artifact.golden]

    def verify(self) -> None:
        """Has the model answer its golden texts.

        Raises:
            ArtifactError: As `check_golden`.
        """
        self.check_golden(self.logits(self.golden_texts)[0])

    def check_golden(self, logits: NDArray[np.float32]) -> None:
        """Compares logits of the golden texts with those recorded.

        Args:
            logits: Shape ``(g, L) float32``.

        Raises:
            ArtifactError: Naming the text's number and the difference.
        """
        for number, (row, golden) in enumerate(zip(logits, self.artifact.golden, strict=True)):
            gap = float(np.max(np.abs(row - np.asarray(golden.logits[self.form], dtype=np.float32))))
            if not gap <= GOLDEN_TOLERANCE[self.form]:
                raise ArtifactError(
                    f"{self.artifact.folder / 'golden.json'}: text {number} gives logits {gap:.2g} away from those "
                    f"recorded; expected at most {GOLDEN_TOLERANCE[self.form]} ({self.form}). The weights, tokenizer "
                    "or runtime do not match"
                )

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Uncalibrated logits.

        Returns:
            Logits, shape ``(n, L) float32``, and which texts were truncated, shape ``(n,) bool``.
        """
        logits = np.empty((len(texts), self.engine.num_labels), dtype=np.float32)
        truncated = np.empty(len(texts), dtype=np.bool_)
        for start in range(0, len(texts), MAX_TEXTS_AT_ONCE):
            part = slice(start, start + MAX_TEXTS_AT_ONCE)
            windows, owners, truncated[part] = self.encoder.windows(texts[part])
            logits[part] = pool(self.engine.logits(windows), owners, len(truncated[part]))
        return logits, truncated

    def tag(self, paragraphs: Sequence[Paragraph]) -> list[Prediction]:
        """Tags paragraphs, in order. Furniture is not special here: leave it out before.

        Raises:
            InputError: If a paragraph is blank, naming its id.
            ArtifactError: If the model gives a value that is not finite.
        """
        for paragraph in paragraphs:
            if is_blank(paragraph.text):
                raise InputError(f"paragraph '{paragraph.id}': text is blank; expected at least one readable character")
        if not paragraphs:
            return []
        logits, truncated = self.logits([paragraph.text for paragraph in paragraphs])
        return self.predictions(paragraphs, logits, truncated)

    def predictions(
        self,
        paragraphs: Sequence[Paragraph],
        logits: NDArray[np.float32],
        truncated: NDArray[np.bool_],
        thresholds: Mapping[str, float] | None = None,
    ) -> list[Prediction]:
        """What `logits` means for these paragraphs.

        Args:
            paragraphs: ``n`` paragraphs.
            logits: Shape ``(n, L) float32``.
            truncated: Shape ``(n,) bool``.
            thresholds: Label id -> threshold, 0 to 1, in the place of the model's own.

        Raises:
            ArtifactError: If a logit is not finite.
            TaxonomyError: If a threshold is for an unknown label.
        """
        if not np.isfinite(logits).all():
            raise ArtifactError(f"{self.artifact.folder}: the model gave a logit that is not finite; restore the model")
        limits = list(self.artifact.calibration.thresholds)
        for label_id, threshold in (thresholds or {}).items():
            limits[self.taxonomy.column(label_id)] = threshold
        probability = probabilities(logits, self.artifact.calibration.temperature)
        assigned = decide(probability, limits)
        ids = self.taxonomy.ids
        # As lists: a number out of an array costs ten times what one out of a list does.
        rows = zip(paragraphs, probability.tolist(), assigned.tolist(), truncated.tolist(), strict=True)
        return [
            Prediction(paragraph, tuple(map(LabelScore, ids, p, limits, a)), cut, self.version)
            for paragraph, p, a, cut in rows
        ]
