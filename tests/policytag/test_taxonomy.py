import re
from pathlib import Path

import pytest

from policytag.errors import TaxonomyError
from policytag.taxonomy import Label, Taxonomy

LABELS = Path("labels/taxonomy.yaml")


def test_the_four_core_instruments_come_first() -> None:
    assert Taxonomy.from_yaml(LABELS).ids[:4] == ("subsidy", "talent", "platform", "approval_reform")


def test_every_label_has_names_a_definition_and_its_crosswalk() -> None:
    for label in Taxonomy.from_yaml(LABELS).labels:
        assert label.name_zh
        assert label.name_en
        assert label.definition.endswith(".")
        expected = {"policy_tool_side"} if label.facet == "instrument" else {"sei_2018", "gbt_4754_2017"}
        assert set(label.crosswalk) == expected


def test_a_taxonomy_survives_the_round_trip_through_a_mapping() -> None:
    taxonomy = Taxonomy.from_yaml(LABELS)
    assert Taxonomy.from_dict(taxonomy.to_dict()) == taxonomy


def test_columns_follow_the_order_of_the_file() -> None:
    taxonomy = Taxonomy("1", (_label("a", "instrument"), _label("b", "industry"), _label("c", "industry")))
    assert taxonomy.column("c") == 2
    assert taxonomy.facet_columns("industry") == (1, 2)


def test_an_unknown_label_is_named_with_its_nearest_neighbour() -> None:
    with pytest.raises(TaxonomyError, match="unknown label 'subsidies'; did you mean 'subsidy'"):
        Taxonomy.from_yaml(LABELS).column("subsidies")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: '1'\nlabels: []\n", "no labels"),
        ("labels: [", "not readable as YAML"),
        ("- a\n", "expected a mapping"),
        ("version: '1'\n", "'labels' is missing"),
        ("version: '1'\nlabels: [{id: a, colour: red}]\n", "bad label entry"),
        (
            "version: '1'\nlabels: [{id: a, facet: mood, name_zh: 甲, name_en: A, definition: D.}]\n",
            "label 'a' has facet 'mood'; expected one of instrument, industry",
        ),
    ],
)
def test_a_broken_taxonomy_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "taxonomy.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TaxonomyError, match=rf"^{re.escape(str(path))}: .*{message}"):
        Taxonomy.from_yaml(path)


def test_an_id_is_unique_across_facets() -> None:
    with pytest.raises(TaxonomyError, match="'a' occurs twice"):
        Taxonomy("1", (_label("a", "instrument"), _label("a", "industry")))


def _label(label_id: str, facet: str) -> Label:
    return Label(label_id, facet, "甲", "A", "D.")
