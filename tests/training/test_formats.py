"""Files of annotation tools: what they really wrote is read, and what goes out comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policytag.corrections import Correction, Corrections
from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from policytag.text import is_blank
from training import jsonl
from training.cli import main
from training.formats import FORMATS, argilla, doccano, label_studio, table
from training.formats.judgements import ALL, Judged, Judgement, resolve

FIXTURES = Path(__file__).parent / "fixtures"
Rows = list[dict[str, Any]]
LABELS = ("subsidy", "talent", "platform", "materials", "agriculture")
ROW = {
    "id": "a", "doc": "d", "text": "一、补贴\n\"人才\", 'x' | y", "instruments": ["subsidy", "talent"],
    "industries": ["agriculture"], "annotators": 2, "kind": "通知", "page": 3,
}  # fmt: skip
EMPTY = ROW | {"id": "b", "text": "附则", "instruments": [], "industries": []}
OPEN = {"id": "c", "doc": "d", "text": "未读", "annotators": 1}


def round_trip(name: str, rows: Rows, folder: Path, taxonomy: Taxonomy) -> tuple[Rows, int]:
    path = folder / "file"
    FORMATS[name].write(path, rows, taxonomy)
    found = resolve(FORMATS[name].read(path), taxonomy)
    assert found.rejected == []
    return found.rows, found.unlabelled


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_round_trip_loses_nothing(name: str, tmp_path: Path, taxonomy: Taxonomy):
    assert round_trip(name, [ROW, EMPTY], tmp_path, taxonomy) == ([ROW, EMPTY], 0)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"doccano"}))
def test_nothing_applies_is_told_from_not_labelled_yet(name: str, tmp_path: Path, taxonomy: Taxonomy):
    assert round_trip(name, [OPEN, EMPTY], tmp_path, taxonomy) == ([EMPTY], 1)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_all_committed_annotations_survive_a_round_trip(
    name: str, tmp_path: Path, taxonomy: Taxonomy, labels_folder: Path
):
    for file in ("authored.jsonl", "seed_corpus.jsonl"):
        rows = [row for _, row in jsonl.read(labels_folder / "annotations" / file)]
        back, _ = round_trip(name, rows, tmp_path, taxonomy)
        for row in rows:
            row["instruments"].sort(key=taxonomy.column)
            row["industries"].sort(key=taxonomy.column)
        assert back == rows


@given(
    text=st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not is_blank(text)),
    labels=st.sets(st.sampled_from(LABELS)),
    more=st.dictionaries(st.sampled_from(["kind", "note", "n"]), st.text(max_size=5) | st.integers() | st.booleans()),
)
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_any_text_and_labels_survive_a_round_trip(
    name: str, text: str, labels: set[str], more: dict[str, Any], tmp_path_factory: Any, labels_folder: Path
):
    taxonomy = Taxonomy.from_yaml(labels_folder / "taxonomy.yaml")
    chosen = [label for label in taxonomy.ids if label in labels]
    facets = {"instruments": "instrument", "industries": "industry"}
    row = {"id": "a", "doc": "d", "text": text, "annotators": 1} | more
    row |= {key: [label for label in chosen if taxonomy[label].facet == facet] for key, facet in facets.items()}
    assert round_trip(name, [row], tmp_path_factory.mktemp("trip"), taxonomy) == ([row], 0)


# -------------------------------------------------------------------------------------------- what the tools wrote


def authored(labels_folder: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for _, row in jsonl.read(labels_folder / "annotations" / "authored.jsonl")}


def test_an_export_of_label_studio_is_read(taxonomy: Taxonomy, labels_folder: Path):
    found = resolve(label_studio.read(FIXTURES / "label_studio-1.23.2.json"), taxonomy)
    assert (len(found.rows), found.unlabelled, found.rejected) == (8, 1, [])  # one task was left alone
    rows = {row["id"]: row for row in found.rows}
    for name in ("authored-0005", "authored-0006", "authored-0035", "authored-0073", "authored-0099"):
        expected = authored(labels_folder)[name]
        assert {k: set(v) if isinstance(v, list) else v for k, v in rows[name].items()} == {
            k: set(v) if isinstance(v, list) else v for k, v in expected.items()
        }
    assert rows["authored-0003"]["instruments"] == rows["authored-0003"]["industries"] == []
    assert "suggested" not in rows["authored-0001"]


def test_an_export_of_doccano_is_read(taxonomy: Taxonomy, labels_folder: Path):
    found = resolve(doccano.read(FIXTURES / "doccano-1.8.4" / "all.jsonl"), taxonomy)
    assert len(found.rows) == 5
    for row in found.rows:
        expected = authored(labels_folder)[row["id"]]
        assert set(row["instruments"]) == set(expected["instruments"])
        assert set(row["industries"]) == set(expected["industries"])
        assert (row["text"], row["doc"], row["kind"]) == (expected["text"], expected["doc"], expected["kind"])
    assert found.rows[1]["comments"] == ["边界案例"]


def test_an_export_of_argilla_is_read(taxonomy: Taxonomy):
    found = resolve(argilla.read(FIXTURES / "argilla-2.8.0.json"), taxonomy, ALL)
    assert [(row["id"], row["annotator"][-1], row["instruments"], row["industries"]) for row in found.rows] == [
        ("authored-0001", "1", ["platform"], []),
        ("authored-0002", "1", ["subsidy"], ["equipment"]),
        ("authored-0002", "2", ["subsidy", "talent"], ["equipment"]),
    ]
    assert found.unlabelled == 3  # a draft, a discarded one, one with a suggestion


def test_the_labelling_page_has_every_label_with_its_definition(taxonomy: Taxonomy):
    page = ElementTree.fromstring(label_studio.page(taxonomy))
    assert [(choice.get("alias"), choice.get("hint")) for choice in page.iter("Choice")] == [
        (label.id, label.definition) for label in taxonomy.labels
    ]
    assert {choices.get("choice") for choices in page.iter("Choices")} == {"multiple"}


# --------------------------------------------------------------------------------------------- several annotators


def judged(*sets: tuple[str, ...]) -> Judged:
    judgements = tuple(Judgement(f"annotator {i}", labels) for i, labels in enumerate(sets))
    return Judged("tasks.json: task 7", {"id": "a", "doc": "d", "text": "文"}, judgements)


def test_of_three_annotators_two_decide(taxonomy: Taxonomy):
    [row] = resolve([judged(("subsidy", "talent"), ("subsidy",), ("materials",))], taxonomy).rows
    assert (row["instruments"], row["industries"], row["annotators"]) == (["subsidy"], [], 3)


def test_two_annotators_who_differ_are_rejected_by_place_and_label(taxonomy: Taxonomy):
    found = resolve([judged(("subsidy", "talent"), ("subsidy",))], taxonomy)
    assert found.rows == []
    assert found.rejected == [
        "tasks.json: task 7: 2 annotators are split over talent; expected a majority, let one more decide"
    ]


def test_labels_may_be_called_by_their_names(taxonomy: Taxonomy):
    [row] = resolve([judged(("资金补贴", "Agriculture"))], taxonomy).rows
    assert (row["instruments"], row["industries"]) == (["subsidy"], ["agriculture"])


def test_an_unknown_label_is_rejected_with_the_nearest_one(taxonomy: Taxonomy):
    found = resolve([judged(("资金补帖",))], taxonomy)
    assert found.rejected[0].startswith("tasks.json: task 7: unknown label '资金补帖'; did you mean '资金补贴'?")


def test_the_command_writes_good_rows_names_bad_ones_and_ends_with_three(
    tmp_path: Path, write_rows: Callable[[Path, Rows], Path], capsys: pytest.CaptureFixture[str]
):
    lines = [{"id": 1, "text": "补贴", "label": ["subsidy"]}, {"id": 2, "text": "补贴", "label": ["tax"]}]
    file = write_rows(tmp_path / "all.jsonl", lines)
    arguments = ["import", str(file), "--from", "doccano", "--doc", "d", "--out", str(tmp_path / "out.jsonl")]
    assert main(arguments) == 3
    assert f"{file}:2: unknown label 'tax'" in capsys.readouterr().err
    [row] = [row for _, row in jsonl.read(tmp_path / "out.jsonl")]
    assert row == {
        "id": "doccano-1", "doc": "d", "text": "补贴", "instruments": ["subsidy"], "industries": [], "annotators": 1,
    }  # fmt: skip


def test_a_paragraph_without_a_document_asks_for_one(taxonomy: Taxonomy):
    paragraph = Judged("x:1", {"id": "a", "text": "文"}, (Judgement("", ()),))
    assert "give --doc" in resolve([paragraph], taxonomy).rejected[0]
    assert resolve([paragraph], taxonomy, doc="d").rows[0]["doc"] == "d"


def test_suggestions_go_out_as_predictions_to_be_confirmed(tmp_path: Path, taxonomy: Taxonomy):
    row = OPEN | {"suggested": ["talent", "materials"]}
    label_studio.write(tmp_path / "tasks.json", [row], taxonomy)
    [task] = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert "annotations" not in task
    [prediction] = task["predictions"]
    assert [part["value"]["choices"] for part in prediction["result"]] == [["talent"], ["materials"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("label-studio", "{}", "holds dict; expected an array"),
        ("label-studio", '[{"id": 3}]', r"task 3: no 'data'"),
        ("label-studio", "[", "not JSON"),
        ("doccano", '{"id": 1, "text": "x", "label": "a"}', r":1: 'label' is \"a\""),
        ("argilla", '[{"id": "r"}]', "record r: no field 'text'"),
        ("csv", "id,doc,text\n", "no column 'instruments'"),
        ("csv", 'id,doc,text,instruments,industries,more\na,d,t,-,-,"[1"\n', ":2: column 'more' is no JSON"),
    ],
)
def test_what_is_not_the_tools_file_is_named(name: str, content: str, message: str, tmp_path: Path):
    (tmp_path / "file").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        list(FORMATS[name].read(tmp_path / "file"))


def test_a_table_from_a_spreadsheet_in_another_encoding_is_named(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes("id,doc,text,instruments,industries\na,d,补贴,subsidy,\n".encode("gb18030"))
    with pytest.raises(InputError, match="save it as 'CSV UTF-8'"):
        list(table.read(tmp_path / "t.csv"))


# --------------------------------------------------------------------------------------------------- corrections


def test_corrections_of_the_service_become_annotations_the_latest_of_each_paragraph(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'corrections.sqlite'}"
    store = Corrections(url)
    first = Correction("1", "a.txt", "给予补贴。", ("talent",), (), annotator="anna", taxonomy="1")
    later = replace(first, id="2", instruments=("subsidy",))
    alone = Correction("3", "", "附则", (), (), taxonomy="1")
    store.add([first, later, alone])
    store.close()
    assert main(["import", url, "--from", "corrections", "--out", str(tmp_path / "out.jsonl")]) == 0
    rows = [row for _, row in jsonl.read(tmp_path / "out.jsonl")]
    assert [(row["id"], row["doc"], row["instruments"], row["industries"]) for row in rows] == [
        ("correction:2", "a.txt", ["subsidy"], []),
        ("correction:3", "correction:3", [], []),
    ]
    assert rows[0]["annotator"] == "anna"
    assert main(["check", str(tmp_path / "out.jsonl")]) == 0


def test_a_misspelt_database_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    url = f"sqlite:///{tmp_path / 'none.sqlite'}"
    assert main(["import", url, "--from", "corrections", "--out", str(tmp_path / "out.jsonl")]) == 1
    assert f"{url}: no such file" in capsys.readouterr().err
    assert not (tmp_path / "none.sqlite").exists()
