"""From the paragraphs of a request to its answer, through the scheduler. Knows neither routes nor the network."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from policytag.errors import ArtifactError, TaxonomyError
from policytag.evidence import Span, explain
from policytag.tagger import Prediction, Tagger
from policytag.taxonomy import Taxonomy
from policytag.text import Paragraph, is_blank
from serving import metrics
from serving.aside import aside
from serving.errors import ApiError, shown
from serving.rows import tags
from serving.scheduler import DeadlineError, QueueFullError, Scheduler
from serving.schemas import MAX_EXPLAINED, ItemError, ModelOut, ParagraphIn, Result, TagRequest, TagResponse

logger = logging.getLogger(__name__)

EXPLAIN_COST = 17
"""Evidence of a paragraph costs so many times what its tags do."""
_BLANK = ItemError(status=422, code="blank_text", message="text is blank; expected at least one readable character")


async def tag_paragraphs(scheduler: Scheduler, tagger: Tagger, request: TagRequest) -> TagResponse:
    """The answer of ``POST /v1/tag``, all of it by one model.

    Raises:
        ApiError: 413 if evidence is asked for of too many paragraphs, 422 if a threshold is for an unknown label, or as
            `predict` raises.
    """
    paragraphs = request.paragraphs
    if request.explain and len(paragraphs) > MAX_EXPLAINED:
        message = f"paragraphs: expected at most {MAX_EXPLAINED} paragraphs a request with explain"
        raise ApiError(413, "too_many_paragraphs", message)
    check_labels(tagger.taxonomy, request.thresholds, "thresholds")
    size = sum(len(paragraph.text) for paragraph in paragraphs)
    wanted = await aside(size, _readable, paragraphs)
    predictions = await predict(scheduler, tagger, wanted, request.thresholds) if wanted else []
    found = {prediction.paragraph.index: prediction for prediction in predictions}
    evidence = (
        dict(zip(found, await find_evidence(scheduler, tagger, predictions), strict=True)) if request.explain else {}
    )
    return TagResponse(
        model=ModelOut(version=tagger.version, taxonomy=tagger.taxonomy.version),
        results=[
            _result(paragraph, found.get(i), tagger.taxonomy, request.scores, evidence.get(i))
            for i, paragraph in enumerate(paragraphs)
        ],
    )


async def predict(
    scheduler: Scheduler, tagger: Tagger, paragraphs: Sequence[Paragraph], thresholds: Mapping[str, float]
) -> list[Prediction]:
    """Predictions of one model for paragraphs that are not blank, in order.

    Raises:
        ApiError: 429 if there is no place, 504 if it took too long, 500 if the model's answer is of no use.
    """
    with _told():
        scored = await scheduler.score([paragraph.text for paragraph in paragraphs], tagger=tagger)
        predictions = tagger.predictions(paragraphs, scored.logits, scored.truncated, thresholds)
    metrics.PARAGRAPHS.inc(len(predictions))
    return predictions


async def find_evidence(
    scheduler: Scheduler, tagger: Tagger, predictions: Iterable[Prediction]
) -> list[Mapping[str, Sequence[Span]]]:
    """What each prediction's tags rest on, in order.

    Raises:
        ApiError: As `predict`.
    """
    found: list[Mapping[str, Sequence[Span]]] = []
    with _told():
        async with scheduler.deadline():
            for prediction in predictions:
                tokens = EXPLAIN_COST * min(len(prediction.paragraph.text), tagger.encoder.recipe.max_tokens)
                found.append(await scheduler.call(partial(explain, tagger, prediction), tokens))
    return found


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turns what the scheduler and the model raise into what a client is told."""
    try:
        yield
    except QueueFullError as error:
        message = f"the queue is full; try again in {error.retry_after} s"
        raise ApiError(429, "overloaded", message, headers={"retry-after": str(error.retry_after)}) from None
    except DeadlineError as error:
        raise ApiError(504, "deadline_exceeded", f"{error}; send less at once, or later") from None
    except ArtifactError:
        logger.exception("the model failed")
        message = "the model gave no usable answer; see the server's log"
        raise ApiError(500, "model_output_invalid", message) from None


def check_room(scheduler: Scheduler, size: int) -> None:
    """Refuses a request for which there is no place before its body is read.

    Args:
        size: Bytes of its body; a Chinese character has three, and in the model about one token.

    Raises:
        ApiError: 429 if there is none.
    """
    with _told():
        scheduler.check_room(size // 3)


def check_labels(taxonomy: Taxonomy, label_ids: Iterable[str], field: str, index: int | None = None) -> None:
    """Asks of each label whether there is one.

    Args:
        field: Where they stand in the request.
        index: In which of its paragraphs.

    Raises:
        ApiError: 422 naming the label that is not in the taxonomy.
    """
    for label_id in label_ids:
        if label_id not in taxonomy:
            try:
                taxonomy.column(shown(label_id))
            except TaxonomyError as error:
                raise ApiError(422, "invalid_field", f"{field}: {error}", index) from None


def _readable(paragraphs: Sequence[ParagraphIn]) -> list[Paragraph]:
    return [Paragraph(str(i), "", i, p.text) for i, p in enumerate(paragraphs) if not is_blank(p.text)]


def _result(
    paragraph: ParagraphIn,
    prediction: Prediction | None,
    taxonomy: Taxonomy,
    scores: bool,
    evidence: Mapping[str, Sequence[Span]] | None,
) -> Result:
    if prediction is None:
        return Result(id=paragraph.id, error=_BLANK)
    found = {"id": paragraph.id, "truncated": prediction.truncated} | tags(prediction, taxonomy, evidence)
    if scores:
        found["scores"] = {score.label_id: round(score.probability, 4) for score in prediction.scores}
    return Result.model_validate(found)
