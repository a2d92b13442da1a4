"""A taxonomy that grows: a label is added, one renamed, one retired, and everything older keeps working."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from policytag.errors import TaxonomyError
from policytag.tagger import Tagger
from policytag.taxonomy import Taxonomy
from policytag.text import Paragraph
from training import annotations
from training.cli import main

Rows = list[dict[str, Any]]


@pytest.fixture
def extended(labels_folder: Path, tmp_path: Path) -> Path:
    """A labels folder with ``green`` added, ``talent`` renamed to ``skilled_people``, ``automotive`` retired."""
    data = yaml.safe_load((labels_folder / "taxonomy.yaml").read_text(encoding="utf-8"))
    kept = [entry for entry in data["labels"] if entry["id"] != "automotive"]
    next(entry for entry in kept if entry["id"] == "talent").update(id="skilled_people", aliases=["talent"])
    green = {
        "id": "green",
        "facet": "instrument",
        "name_zh": "绿色采购",
        "name_en": "Green",
        "definition": "Buying green.",
    }
    kept.append(green)
    folder = tmp_path / "labels"
    folder.mkdir()
    text = yaml.safe_dump({"version": "2", "retired": ["automotive"], "labels": kept}, allow_unicode=True)
    (folder / "taxonomy.yaml").write_text(text, encoding="utf-8")
    return folder


def test_old_annotations_are_read_with_the_new_taxonomy(
    extended: Path, tmp_path: Path, write_rows: Callable[[Path, Rows], Path]
):
    taxonomy = Taxonomy.from_yaml(extended / "taxonomy.yaml")
    old = {"id": "a", "doc": "d", "text": "文", "instruments": ["talent"], "industries": ["automotive", "agriculture"]}
    [row] = annotations.read([write_rows(tmp_path / "old.jsonl", [old])], taxonomy)
    assert {i for i, t in zip(taxonomy.ids, row.targets, strict=True) if t} == {"skilled_people", "agriculture"}


def test_the_taxonomy_survives_being_written(extended: Path):
    taxonomy = Taxonomy.from_yaml(extended / "taxonomy.yaml")
    assert Taxonomy.from_dict(taxonomy.to_dict()) == taxonomy
    assert taxonomy["talent"].id == "skilled_people"
    assert taxonomy.retired == ("automotive",)


@pytest.mark.parametrize("change", [{"retired": ["subsidy"]}, {"alias": "subsidy"}])
def test_an_id_is_never_used_again(labels_folder: Path, change: dict[str, Any]):
    data = yaml.safe_load((labels_folder / "taxonomy.yaml").read_text(encoding="utf-8"))
    data["retired"] = change.get("retired", [])
    if "alias" in change:
        data["labels"][1]["aliases"] = [change["alias"]]
    with pytest.raises(TaxonomyError, match="label id 'subsidy' occurs twice"):
        Taxonomy.from_dict(data)


@pytest.mark.slow
def test_forty_examples_teach_a_new_label(
    extended: Path, arguments: list[str], authored_rows: Rows, write_rows: Callable[[Path, Rows], Path], tmp_path: Path
):
    new = [
        {
            "id": f"g{i}",
            "doc": f"g{i}",
            "text": f"{i}号文:政府优先采购环保产品。",
            "instruments": ["green"],
            "industries": [],
        }
        for i in range(40)
    ]
    file = write_rows(tmp_path / "rows.jsonl", authored_rows + new)
    out = tmp_path / "model"
    command = ["fit", *arguments, "--labels", str(extended), "--annotations", str(file), "--out", str(out)]
    assert main([*command, "--skip-baseline"]) == 0
    tagger = Tagger.load(out)
    found = tagger.tag(
        [Paragraph("1", "d", 0, "政府优先采购环保产品。"), Paragraph("2", "d", 1, "引进和培养高层次人才。")]
    )
    assert [{s.label_id for s in p.scores if s.assigned} for p in found] == [{"green"}, {"skilled_people"}]
    assert tagger.taxonomy["talent"].id == "skilled_people"
