"""Labels and their order. Knows nothing of models: a label's column is its place in the taxonomy."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from policytag.errors import TaxonomyError

FACETS = ("instrument", "industry")


@dataclass(frozen=True, slots=True)
class Label:
    """One tag.

    Attributes:
        id: Stable identifier, unique across facets, never reused: ``subsidy``.
        facet: ``instrument`` or ``industry``.
        name_zh: ``资金补贴``.
        name_en: ``Subsidies``.
        definition: One sentence.
        crosswalk: Scheme name -> place in that scheme, e.g. ``{"policy_tool_side": "environment"}``.
        aliases: Ids it had before; they are understood wherever a label is named, and never written.
    """

    id: str
    facet: str
    name_zh: str
    name_en: str
    definition: str
    crosswalk: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taxonomy:
    """An ordered set of labels; the order *is* the column order of every ``(n, L)`` array.

    Attributes:
        retired: Ids of labels that are given no more; older annotations may carry them.

    Raises:
        TaxonomyError: On an id that occurs twice, as id, alias or retired, an unknown facet or an empty label list.
    """

    version: str
    labels: tuple[Label, ...]
    retired: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.labels:
            raise TaxonomyError("no labels; expected at least one under 'labels'")
        seen: set[str] = set(self.retired)
        for label in self.labels:
            if label.facet not in FACETS:
                raise TaxonomyError(
                    f"label '{label.id}' has facet '{label.facet}'; expected one of {', '.join(FACETS)}"
                )
            for name in (label.id, *label.aliases):
                if name in seen:
                    raise TaxonomyError(
                        f"label id '{name}' occurs twice; ids are unique across facets, aliases and retired labels"
                    )
                seen.add(name)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Taxonomy:
        """Builds a taxonomy from the mapping that `to_dict` and ``taxonomy.yaml`` share.

        Raises:
            TaxonomyError: Naming the key that is missing or unknown, or the label that contradicts another.
        """
        try:
            labels = tuple(Label(**entry | {"aliases": tuple(entry.get("aliases", ()))}) for entry in data["labels"])
            return cls(str(data["version"]), labels, tuple(data.get("retired", ())))
        except KeyError as error:
            raise TaxonomyError(f"key {error} is missing; expected 'version' and 'labels'") from None
        except TypeError as error:
            keys = ", ".join(Label.__dataclass_fields__)
            raise TaxonomyError(f"bad label entry ({error}); expected the keys {keys}") from None

    @classmethod
    def from_yaml(cls, path: Path) -> Taxonomy:
        """Reads ``labels/taxonomy.yaml``.

        Raises:
            TaxonomyError: Naming the file, if it is missing or does not hold a taxonomy.
        """
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise TaxonomyError(f"{path}: no such file; expected a taxonomy (see labels/taxonomy.yaml)") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise TaxonomyError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from None
        if not isinstance(data, Mapping):
            raise TaxonomyError(f"{path}: holds {type(data).__name__}; expected a mapping with 'version' and 'labels'")
        try:
            return cls.from_dict(data)
        except TaxonomyError as error:
            raise TaxonomyError(f"{path}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """The plain mapping that `from_dict` reads back."""
        keys = Label.__dataclass_fields__
        labels = [{key: _plain(getattr(label, key)) for key in keys} for label in self.labels]
        for entry in labels:
            if not entry["aliases"]:
                del entry["aliases"]
        return {"version": self.version, "labels": labels} | ({"retired": list(self.retired)} if self.retired else {})

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {name: column for column, label in enumerate(self.labels) for name in (label.id, *label.aliases)}

    @property
    def ids(self) -> tuple[str, ...]:
        """All label ids in column order."""
        return tuple(label.id for label in self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, label_id: str) -> Label:
        return self.labels[self.column(label_id)]

    def __contains__(self, label_id: object) -> bool:
        return label_id in self._columns

    def column(self, label_id: str) -> int:
        """The column of a label, by its id or an alias.

        Raises:
            TaxonomyError: Naming the nearest label id.
        """
        if label_id not in self._columns:
            near = difflib.get_close_matches(label_id, self.ids, n=1, cutoff=0.0)
            raise TaxonomyError(
                f"unknown label '{label_id}'; did you mean '{near[0]}'? (taxonomy version {self.version})"
            )
        return self._columns[label_id]

    def facet_columns(self, facet: str) -> tuple[int, ...]:
        """The columns of a facet, ascending."""
        return self._facets[facet]

    @cached_property
    def _facets(self) -> dict[str, tuple[int, ...]]:
        return {
            facet: tuple(column for column, label in enumerate(self.labels) if label.facet == facet) for facet in FACETS
        }


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
