"""What the environment says of the HTTP service: every ``POLICYTAG_…`` variable, its default and its limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from policytag.artifact import DEFAULT_MODEL
from policytag.corrections import DEFAULT_URL
from policytag.engine import processors
from policytag.errors import InputError
from serving.scheduler import Limits

QUEUE_REQUESTS = 512
QUEUE_TOKENS = 131_072
DEADLINE_SECONDS = 60
MAX_DEADLINE_SECONDS = 110
"""With the time that a body may take, this must stay below `serving.border.REQUEST_SECONDS`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's settings.

    Attributes:
        model: ``POLICYTAG_MODEL``: the model folder.
        threads: ``POLICYTAG_THREADS``: threads of one inference; all processors this process may use if not given.
        api_keys: ``POLICYTAG_API_KEYS``: keys, separated by commas; where there are any, requests must show one.
        limits: ``POLICYTAG_QUEUE_REQUESTS``, ``POLICYTAG_QUEUE_TOKENS``, ``POLICYTAG_DEADLINE_SECONDS``: how much
            may wait and for how long.
        corrections: ``POLICYTAG_CORRECTIONS``: URL of the database of corrections.
    """

    model: Path
    threads: int
    api_keys: tuple[str, ...]
    limits: Limits
    corrections: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads them.

        Raises:
            InputError: Naming the variable whose value is of no use.
        """
        return cls(
            model=Path(environment.get("POLICYTAG_MODEL") or DEFAULT_MODEL),
            threads=_number(environment, "POLICYTAG_THREADS", processors()),
            api_keys=tuple(
                key for part in environment.get("POLICYTAG_API_KEYS", "").split(",") if (key := part.strip())
            ),
            limits=Limits(
                requests=_number(environment, "POLICYTAG_QUEUE_REQUESTS", QUEUE_REQUESTS),
                tokens=_number(environment, "POLICYTAG_QUEUE_TOKENS", QUEUE_TOKENS),
                seconds=_number(environment, "POLICYTAG_DEADLINE_SECONDS", DEADLINE_SECONDS, MAX_DEADLINE_SECONDS),
            ),
            corrections=environment.get("POLICYTAG_CORRECTIONS") or DEFAULT_URL,
        )


def _number(environment: Mapping[str, str], name: str, default: int, most: int = 10**9) -> int:
    given = environment.get(name, "")
    if given.isdecimal() and 0 < int(given[:10]) <= most:
        return int(given[:10])
    if given:
        raise InputError(f"{name}: '{given}'; expected a whole number, 1 to {most}")
    return default
