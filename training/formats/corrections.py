"""Corrections that analysts sent to the service, read from its database. Knows no labels' meaning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from policytag.corrections import Corrections
from policytag.errors import InputError
from training.formats.judgements import Judged, Judgement, labels_of, without_labels

_SQLITE = "sqlite:///"


def read(url: str) -> Iterator[Judged]:
    """The last correction of each paragraph.

    Args:
        url: As the service has it: ``sqlite:///corrections.sqlite`` or ``postgresql://user:password@host/name``.

    Raises:
        InputError: If there is no such file.
        StoreError: If the database cannot be read.
    """
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).is_file():
        raise InputError(f"{url}: no such file; expected the database that the service writes")
    store = Corrections(url)
    try:
        for correction in store.latest():
            row = correction.annotation()
            judgement = Judgement(str(row.get("annotator", "")), labels_of(row) or ())
            yield Judged(f"correction {correction.id}", without_labels(row), (judgement,))
    finally:
        store.close()
