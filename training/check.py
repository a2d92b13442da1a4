"""``policytag-train check``: what is wrong or odd with annotations, each finding with its place. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policytag.taxonomy import Taxonomy
from training import annotations, duplicates
from training.annotations import Annotation

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong (``error``: training would fail or learn a contradiction) or odd (``warning``)."""

    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """All findings, and the counts by split.

    Attributes:
        counts: Split -> ``{"paragraphs", "documents", "nothing applies", "labels": {label id: positives}}``.
    """

    findings: tuple[Finding, ...]
    counts: Mapping[str, Mapping[str, Any]]


def check(splits: Mapping[str, Sequence[Path]], taxonomy: Taxonomy) -> Checked:
    """Reads annotation files and judges them.

    Args:
        splits: Name of a split (``train``, ``dev``) -> its files. Rows with the same or nearly the same text in two
            splits, and documents in two splits, are errors: figures would flatter.
    """
    files = [file for paths in splits.values() for file in paths]
    rows, problems = annotations.scan(files, taxonomy)
    where = {str(file): name for name, paths in splits.items() for file in paths}
    owners = [where[row.place.rpartition(":")[0]] for row in rows]
    findings = [Finding(ERROR, problem) for problem in problems]
    findings += _documents(rows, owners)
    findings += _same(rows, owners, taxonomy)
    findings += _near(rows, owners)
    chosen = {name: [row for row, owner in zip(rows, owners, strict=True) if owner == name] for name in splits}
    return Checked(tuple(findings), {name: _counts(own, taxonomy) for name, own in chosen.items()})


def _documents(rows: Sequence[Annotation], owners: Sequence[str]) -> list[Finding]:
    first: dict[str, tuple[str, str]] = {}
    found: dict[str, Finding] = {}
    for row, owner in zip(rows, owners, strict=True):
        split, place = first.setdefault(row.doc, (owner, row.place))
        if split != owner and row.doc not in found:
            message = f"{row.place}: document '{row.doc}' is in {owner} and, at {place}, in {split}; expected it in one"
            found[row.doc] = Finding(ERROR, message)
    return list(found.values())


def _same(rows: Sequence[Annotation], owners: Sequence[str], taxonomy: Taxonomy) -> list[Finding]:
    findings = []
    for group in duplicates.same([row.text for row in rows]):
        first = group[0]
        for other in group[1:]:
            one, two = rows[first], rows[other]
            if one.targets != two.targets:
                odd = [i for i, a, b in zip(taxonomy.ids, one.targets, two.targets, strict=True) if a != b]
                message = f"same text as {one.place}, other labels ({', '.join(odd)}); decide, and remove one"
                findings.append(Finding(ERROR, f"{two.place}: {message}"))
            elif owners[first] != owners[other]:
                message = f"same text as {one.place} in {owners[first]}; remove one, figures would flatter"
                findings.append(Finding(ERROR, f"{two.place}: {message}"))
            else:
                findings.append(Finding(WARNING, f"{two.place}: same text and labels as {one.place}"))
    return findings


def _near(rows: Sequence[Annotation], owners: Sequence[str]) -> list[Finding]:
    findings = []
    for left, right, share in duplicates.near([row.text for row in rows]):
        one, two = rows[left], rows[right]
        if owners[left] != owners[right]:
            message = f"{share:.0%} the same as {one.place} in {owners[left]}; remove one, figures would flatter"
            findings.append(Finding(ERROR, f"{two.place}: {message}"))
        elif one.doc != two.doc:  # a split by documents could part them
            message = f"{share:.0%} the same as {one.place} of another document"
            findings.append(Finding(WARNING, f"{two.place}: {message}"))
    return findings


def _counts(rows: Sequence[Annotation], taxonomy: Taxonomy) -> dict[str, Any]:
    gold = annotations.gold_matrix(rows) if rows else None
    positives = gold.sum(axis=0).tolist() if gold is not None else [0] * len(taxonomy)
    return {
        "paragraphs": len(rows),
        "documents": len(annotations.documents(rows)),
        "nothing applies": int((~gold.any(axis=1)).sum()) if gold is not None else 0,
        "labels": dict(zip(taxonomy.ids, positives, strict=True)),
    }


def render(checked: Checked, limit: int) -> str:
    """Findings, at most ``limit`` of each level, then the counts as a table."""
    lines = []
    for level in (ERROR, WARNING):
        own = [finding.message for finding in checked.findings if finding.level == level]
        lines += [f"{level}: {message}" for message in own[:limit]]
        lines += [f"... and {len(own) - limit} more {level}s (--all lists them)"] * (len(own) > limit)
    names = list(checked.counts)
    lines += ["", f"{'':<26}" + "".join(f"{name:>10}" for name in names)]
    for key in ("paragraphs", "documents", "nothing applies"):
        lines.append(f"{key:<26}" + "".join(f"{checked.counts[name][key]:>10}" for name in names))
    for label in next(iter(checked.counts.values()))["labels"]:
        lines.append(f"{label:<26}" + "".join(f"{checked.counts[name]['labels'][label]:>10}" for name in names))
    totals = Counter(finding.level for finding in checked.findings)
    lines += ["", f"{totals[ERROR]} errors, {totals[WARNING]} warnings"]
    return "\n".join(lines) + "\n"
