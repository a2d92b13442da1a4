"""``policytag-train promote``: a model that passes the gates becomes current. The order of steps, no more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from policytag import artifact
from policytag.errors import PolicytagError
from training import gates
from training.gates import Gate, Limits
from training.versions import PROMOTE, Entry, Versions, entry_now


class GateError(PolicytagError):
    """A model that must not be promoted; the message has a line for each gate it failed."""


def promote(
    candidate: Path, versions: Versions, test: Sequence[Path], reason: str, limits: Limits, *, force: bool = False
) -> tuple[Entry, list[Gate]]:
    """Checks a model and makes a copy of it current.

    Args:
        candidate: A model folder.
        versions: Where models are kept.
        test: Annotated paragraphs that no model learns from.
        force: Overrules gates, but never that the folder is whole and answers its golden texts.

    Raises:
        GateError: Naming what failed; nothing is changed then.
        ArtifactError: If the candidate is damaged.
    """
    version = artifact.load(candidate).manifest.version
    with versions.changing():
        versions.refuse_current(version)
        current = versions.current if versions.current.exists() else None
        results = gates.check(candidate, current, test, limits)
        failed = [gate for gate in results if not gate.passed]
        if failed and (not force or any(gate.name == "golden texts" for gate in failed)):
            lines = [f"{candidate}: {gate.name}: {gate.detail}" for gate in failed]
            raise GateError("\n".join([*lines, f"not promoted: {len(failed)} of {len(results)} gates failed"]))
        details = {gate.name: gate.detail for gate in results}
        entry = entry_now(PROMOTE, version, versions.current_version(), reason, gates=details, forced=bool(failed))
        versions.switch(candidate, entry)
    return entry, results
