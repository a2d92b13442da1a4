"""The evaluation: hand-computed figures, slices, and a page that says the same and needs no network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policytag.tagger import Tagger
from training import charts, evaluation, slices
from training.annotations import Annotation
from training.cli import main
from training.evaluation import Answers

Rows = list[dict[str, Any]]
TEXTS = ["对企业给予补贴。", "引进人才。", "对软件企业给予补贴。", "附则"]
GOLD = [["subsidy"], ["talent"], ["talent"], []]
"""The tiny model tags 补 as subsidy, 才 as talent, 软 as information technology: the third text thrice wrongly."""


@pytest.fixture
def rows(tiny_model: Path) -> list[Annotation]:
    taxonomy = Tagger.load(tiny_model).taxonomy
    targets = [tuple(float(label in gold) for label in taxonomy.ids) for gold in GOLD]
    return [Annotation(f"{i}", f"d{i}", text, targets[i]) for i, text in enumerate(TEXTS)]


@pytest.fixture
def report(tiny_model: Path, rows: list[Annotation]) -> dict[str, Any]:
    tagger = Tagger.load(tiny_model)
    other = Answers(tagger, rows)
    other.chosen = np.zeros_like(other.chosen)  # a model that says nothing
    return evaluation.evaluate(rows, Answers(tagger, rows), other, resamples=50, seed=1)


def test_figures_are_those_computed_by_hand(report: dict[str, Any]):
    # Subsidy: one right, one extra, 2 / 3. Talent: one right, one missed, 2 / 3. Technology: one extra, 0.
    figures = report["figures"]["labels"]
    assert (figures["subsidy"]["f1"], figures["talent"]["f1"]) == (0.6667, 0.6667)
    assert figures["information_technology"]["f1"] == 0.0
    assert report["figures"]["groups"]["all"]["macro_f1"] == round((2 / 3 + 2 / 3) / 3, 4)


def test_threshold_plots_and_curves_end_where_they_must(report: dict[str, Any]):
    curve = report["curves"]["subsidy"]
    assert curve["threshold"] == 0.5
    assert curve["thresholds"][9] == [0.5, 0.5, 1.0, 0.6667]  # threshold, precision, recall, F1
    assert curve["pr"][-1] == [0.0, 1.0]
    assert report["curves"]["agriculture"]["pr"] == []


def test_labels_taken_for_each_other_are_counted(report: dict[str, Any]):
    assert report["confusion"] == [
        {"missed": "talent", "given": "subsidy", "paragraphs": 1},
        {"missed": "talent", "given": "information_technology", "paragraphs": 1},
    ]


def test_errors_come_with_text_the_surest_first(report: dict[str, Any]):
    errors = report["errors"]
    assert [(e["id"], e["label"], e["error"]) for e in errors] == [
        ("2", "talent", "missed"),  # logit -4: 0.482 below its threshold
        ("2", "information_technology", "extra"),  # logit 3.6: 0.473 above
        ("2", "subsidy", "extra"),  # logit 3: 0.453 above
    ]
    assert all(e["text"] == TEXTS[2] for e in errors)
    gaps = [abs(e["probability"] - e["threshold"]) for e in errors]
    assert gaps == sorted(gaps, reverse=True)


def test_the_bins_of_the_reliability_diagram_hold_every_decision(report: dict[str, Any]):
    bins = report["calibration"]["bins"]
    assert sum(count for _, _, count in bins) == 4 * 18
    assert [share for mean, share, _ in bins if mean > 0.9] == [0.5]  # of four sure tags two are right


def test_the_comparison_is_model_minus_other(report: dict[str, Any]):
    comparison = report["comparison"]
    assert comparison["labels"]["subsidy"]["f1"] == 0.6667
    assert comparison["labels"]["information_technology"]["f1"] == 0.0
    assert (comparison["only_ours_right"], comparison["only_theirs_right"], comparison["broken"]) == (2, 0, [])


def made(text: str = "对企业给予补贴,并引进人才。", doc: str = "d", **extra: Any) -> Annotation:
    return Annotation("a", doc, text, (), extra=extra)


@pytest.mark.parametrize(
    ("of", "row", "value"),
    [
        (slices.length, made("补" * 20), "1 to 20 characters"),
        (slices.length, made("补" * 21), "21 to 100"),
        (slices.length, made("补" * 1001), "above 1,000"),
        (slices.position, made("(三)加快集聚双创人才"), "heading"),
        (slices.position, made("对新认定的企业技术中心,按照规定给予一次性奖励。"), "body"),
        (slices.year, made("2023年,全市引进人才。"), "2023"),
        (slices.year, made("2023年,全市引进人才。", year=2019), "2019"),
        (slices.year, made("投入12023元。"), "unknown"),
        (slices.source, made(doc="city_policy/17"), "city_policy"),
        (slices.source, made(sample="corpus"), "corpus"),
        (slices.kind, made(kind="通知"), "通知"),
        (slices.kind, made(), "unknown"),
    ],
)
def test_a_row_belongs_to_its_slice(of: Callable[[Annotation], str], row: Annotation, value: str):
    assert of(row) == value


def test_rare_values_of_a_slice_are_one(rows: Sequence[Annotation]):
    many = [made(kind="通知")] * 6 + [made(kind="函"), made(kind="令")]
    masks = slices.values(many, slices.kind)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"通知": 6, "other": 2}


def test_columns_of_a_table_become_curves():
    assert charts.columns([[0, 1, 2], [1, 3, 4]]) == [[(0, 1), (1, 3)], [(0, 2), (1, 4)]]


def test_the_page_has_every_figure_and_needs_no_network(
    tiny_model: Path, tmp_path: Path, write_rows: Callable[[Path, Rows], Path], capsys: pytest.CaptureFixture[str]
):
    data = [
        {"id": f"{i}", "doc": f"d{i}", "text": text + "<script>x</script>", "instruments": gold, "industries": []}
        for i, (text, gold) in enumerate(zip(TEXTS, GOLD, strict=True))
    ]
    file = write_rows(tmp_path / "rows.jsonl", data)
    page, figures = tmp_path / "out" / "page.html", tmp_path / "out" / "figures.json"
    arguments = ["evaluate", str(tiny_model), "--annotations", str(file), "--compare", str(tiny_model)]
    assert main([*arguments, "--write", str(page), "--report", str(figures), "--resamples", "20"]) == 0
    assert "macro-F1 0.444" in capsys.readouterr().out
    html = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;x" in html
    assert not re.search(r"""(?:src|href)=["'](?!#)""", html)
    assert html.count("<svg") > 40
    for group in json.loads(figures.read_text(encoding="utf-8"))["figures"]["groups"].values():
        assert f"{group['macro_f1']:.3f}" in html
