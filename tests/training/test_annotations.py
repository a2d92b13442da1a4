"""Reading annotations: every problem is found, named with its line, and told how to mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training.annotations import gold_matrix, read, target_matrix, without

ROW = {"id": "a", "doc": "d", "text": "给予补贴。", "instruments": ["subsidy"], "industries": []}


def problems(path: Path, taxonomy: Taxonomy, *lines: object) -> list[str]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read([path], taxonomy)
    return str(caught.value).splitlines()


def test_labels_become_columns(tmp_path: Path, taxonomy: Taxonomy):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW | {"industries": ["agriculture"], "annotators": 2}) + "\n\n", encoding="utf-8")
    rows = read([path], taxonomy)
    assert gold_matrix(rows).nonzero()[1].tolist() == [taxonomy.column("subsidy"), taxonomy.column("agriculture")]


def test_an_unknown_label_gets_the_nearest_one_suggested(tmp_path: Path, taxonomy: Taxonomy):
    [problem] = problems(tmp_path / "a.jsonl", taxonomy, ROW, ROW | {"id": "b", "instruments": ["subsidies"]})
    assert problem.startswith(f"{tmp_path / 'a.jsonl'}:2: unknown label 'subsidies'; did you mean 'subsidy'?")


def test_a_label_in_the_wrong_list_is_told_where_it_belongs(tmp_path: Path, taxonomy: Taxonomy):
    [problem] = problems(tmp_path / "a.jsonl", taxonomy, ROW | {"instruments": ["agriculture"]})
    assert "'agriculture' is no instrument; expected it under 'industries'" in problem


def test_all_problems_are_listed_with_their_lines(tmp_path: Path, taxonomy: Taxonomy):
    found = problems(
        tmp_path / "a.jsonl",
        taxonomy,
        "{not json",
        "[1]",
        {"id": "x", "doc": "d", "instruments": [], "industries": []},
        ROW | {"text": "\u3000 \u200b"},
        ROW | {"industries": "agriculture"},
        ROW,
        ROW,
        ROW | {"id": 7, "instruments": ["subsidy", 1]},
        ROW | {"id": "b", "targets": ["subsidy"]},
    )
    assert [line.removeprefix(f"{tmp_path / 'a.jsonl'}:") for line in found] == [
        "1: not JSON (Expecting property name enclosed in double quotes at column 2); expected one object a line",
        "2: holds [1]; expected one object a line",
        "3: key 'text' is missing; expected a text that is not blank",
        "4: key 'text' is a blank text; expected a text that is not blank",
        "5: key 'industries' is \"agriculture\"; expected a list of label ids, [] where none applies",
        f"7: id 'a' occurs at {tmp_path / 'a.jsonl'}:6 too; expected unique ids, remove one",
        "8: key 'id' is 7; expected a text that is not blank",
        "8: key 'instruments' is [\"subsidy\", 1]; expected a list of label ids, [] where none applies",
        "9: key 'targets' is [\"subsidy\"]; expected an object of label ids and probabilities",
    ]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"id": ' + "1" * 5000 + "}", '{"id": "\\ud83d"}'])
def test_a_line_that_json_or_a_file_cannot_hold_is_a_problem(tmp_path: Path, taxonomy: Taxonomy, line: str):
    [problem] = problems(tmp_path / "a.jsonl", taxonomy, line)
    assert problem.startswith(f"{tmp_path / 'a.jsonl'}:1: ")
    assert "; expected " in problem


def test_fifty_problems_are_listed_and_the_rest_counted(tmp_path: Path, taxonomy: Taxonomy):
    found = problems(tmp_path / "a.jsonl", taxonomy, *["{"] * 53)
    assert len(found) == 51
    assert found[-1] == "... and 3 more problems"


def test_a_file_in_another_encoding_is_one_problem(tmp_path: Path, taxonomy: Taxonomy):
    path = tmp_path / "gbk.jsonl"
    path.write_bytes(json.dumps(ROW, ensure_ascii=False).encode("gb18030"))
    with pytest.raises(InputError, match=r"gbk\.jsonl: byte \d+ is not UTF-8"):
        read([path], taxonomy)


def test_a_missing_and_an_empty_file_are_told_apart(tmp_path: Path, taxonomy: Taxonomy):
    with pytest.raises(InputError, match="cannot be read"):
        read([tmp_path / "none.jsonl"], taxonomy)
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="no rows"):
        read([tmp_path / "empty.jsonl"], taxonomy)


def test_ids_are_unique_over_all_files(tmp_path: Path, taxonomy: Taxonomy):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(ROW), encoding="utf-8")
    with pytest.raises(InputError, match=r"b\.jsonl:1: id 'a' occurs at .*a\.jsonl:1 too"):
        read([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], taxonomy)


def test_soft_targets_are_kept_and_count_as_gold_from_one_half(tmp_path: Path, taxonomy: Taxonomy):
    row = {"id": "a", "doc": "d", "text": "给予补贴。", "targets": {"subsidy": 0.7, "talent": 0.2}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    rows = read([tmp_path / "a.jsonl"], taxonomy)
    assert target_matrix(rows)[0, :3].tolist() == pytest.approx([0.7, 0.2, 0.0])
    assert gold_matrix(rows)[0].nonzero()[0].tolist() == [0]


def test_soft_targets_out_of_range_or_unknown_are_problems(tmp_path: Path, taxonomy: Taxonomy):
    row = {"id": "a", "doc": "d", "text": "给予补贴。", "targets": {"subsidy": 1.5, "talents": 0.2}}
    found = problems(tmp_path / "a.jsonl", taxonomy, row)
    assert "target of 'subsidy' is 1.5; expected a probability" in found[0]
    assert "did you mean 'talent'" in found[1]


def test_excluding_a_document_nobody_has_is_an_error(tmp_path: Path, taxonomy: Taxonomy):
    (tmp_path / "a.jsonl").write_text(json.dumps(ROW), encoding="utf-8")
    rows = read([tmp_path / "a.jsonl"], taxonomy)
    with pytest.raises(InputError, match="no annotation has doc 'e'"):
        without(rows, ["e"])


def test_a_document_is_excluded_but_not_the_last_one(tmp_path: Path, taxonomy: Taxonomy):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{json.dumps(ROW | {'id': 'b', 'doc': 'e'})}", encoding="utf-8")
    rows = read([path], taxonomy)
    assert [row.id for row in without(rows, ["d"])] == ["b"]
    with pytest.raises(InputError, match="names all documents"):
        without(rows, ["d", "e"])
