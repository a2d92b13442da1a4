"""Whether the service is ready: the current model gives its recorded answers, through the queue that requests take."""

from __future__ import annotations

import asyncio
import logging
import time

from policytag.errors import ArtifactError
from serving.models import Models
from serving.scheduler import DeadlineError, Scheduler

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""An answer is good for so long: probes cost a batch, and anybody may send them."""


class Readiness:
    """Asks the model, once for all who ask at the same time."""

    def __init__(self, models: Models, scheduler: Scheduler) -> None:
        self._models = models
        self._scheduler = scheduler
        self._asking = asyncio.Lock()
        self._checked = -FRESH_SECONDS
        self._ready = False

    async def __call__(self) -> bool:
        async with self._asking:
            if time.monotonic() - self._checked > FRESH_SECONDS:
                self._ready = await self._check()
                self._checked = time.monotonic()
            return self._ready

    async def _check(self) -> bool:
        tagger = self._models.current
        try:
            scored = await self._scheduler.score(tagger.golden_texts, tagger=tagger, urgent=True)
            tagger.check_golden(scored.logits)
        except (ArtifactError, DeadlineError) as error:
            logger.error("not ready: %s", error)
            return False
        return True
