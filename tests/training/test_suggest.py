"""What to label next: rare and uncertain first, unlike each other, nothing that is labelled already."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from training import jsonl, learning_curve, suggestion
from training.cli import main

Rows = list[dict[str, Any]]
Writer = Callable[[Path, Rows], Path]


def test_a_rare_label_counts_more_and_a_sure_one_nothing():
    probability = np.array([[0.5, 0.0], [0.0, 0.5], [1.0, 1.0]], dtype=np.float32)
    worth = suggestion.score(probability, np.array([99, 0]))
    assert worth == pytest.approx([0.1, 1.0, 0.0], abs=1e-3)


def test_of_three_paragraphs_alike_one_is_chosen():
    features = csr_matrix(np.array([[1, 0, 0]] * 3 + [[0, 1, 0], [0, 0, 1]], dtype=np.float32))
    probability = np.array([[0.5], [0.49], [0.48], [0.4], [0.3]], dtype=np.float32)
    assert suggestion.choose(features, probability, np.array([0]), 3, seed=1).tolist() == [0, 3, 4]


def test_no_more_are_chosen_than_there_are():
    features = csr_matrix(np.eye(2, dtype=np.float32))
    probability = np.array([[0.1], [0.5]], dtype=np.float32)
    assert suggestion.choose(features, probability, np.array([0]), 5, seed=1).tolist() == [1, 0]


def test_the_command_writes_new_paragraphs_that_can_be_exported(
    rows_file: Path, tmp_path: Path, authored_rows: Rows, write_rows: Writer, tiny_model: Path
):
    text = "一、总体要求\n引进和培养高层次人才,并给予一次性补贴。\n扩大粮食种植面积,建设公共技术服务平台。\n"
    (tmp_path / "new.txt").write_text(text, encoding="utf-8")
    labelled = write_rows(tmp_path / "labelled.jsonl", authored_rows[:3])
    for model in ([], ["--model", str(tiny_model)]):
        arguments = ["suggest", str(tmp_path / "new.txt"), str(labelled), "--annotations", str(rows_file), *model]
        assert main([*arguments, "--number", "2", "--write", str(tmp_path / "next.jsonl")]) == 0
        rows = [row for _, row in jsonl.read(tmp_path / "next.jsonl")]
        assert len(rows) == 2
        assert all(row["doc"] == "new.txt" and row["id"].startswith("new.txt#") for row in rows)
        assert all("instruments" not in row for row in rows)
        tasks = ["export", str(tmp_path / "next.jsonl"), "--to", "label-studio", "--out", str(tmp_path / "tasks.json")]
        assert main(tasks) == 0
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert any(task["predictions"][0]["result"] for task in tasks)


def test_nothing_new_is_said(rows_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["suggest", str(rows_file), "--annotations", str(rows_file), "--write", str(tmp_path / "next.jsonl")]
    assert main(arguments) == 1
    assert "no paragraph that is not labelled yet" in capsys.readouterr().err


def test_learning_curves_start_alike_and_measure_both_ways():
    rng = np.random.default_rng(0)
    gold = rng.random((120, 2)) < 0.3
    texts = [f"第{i}条 " + "补贴企业" * int(gold[i, 0]) + "引进人才" * int(gold[i, 1]) for i in range(120)]
    docs = [f"d{i % 12}" for i in range(120)]
    found = learning_curve.curves(texts, gold, docs, first=20, step=20, steps=2, seeds=2)
    assert found["labelled"] == [20, 40, 60]
    for seed in range(2):
        assert found["chosen"]["macro_f1"][seed][0] == found["random"]["macro_f1"][seed][0]
    assert np.mean(found["chosen"]["macro_f1"]) > 0.5
