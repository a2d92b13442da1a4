"""Teachers' opinions on unlabelled text, as rows that `fit` can learn from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policytag.calibration import sigmoid
from policytag.errors import InputError
from policytag.tagger import Tagger
from policytag.taxonomy import Taxonomy
from training import annotations, config, fit, soft_labels
from training.cli import main

PARAGRAPHS = [
    "第一百条对符合条件的企业给予一次性补贴。本条由有关部门负责解释。",
    "第二百条引进和培养高层次人才，支持企业设立博士后科研工作站，吸引海外高层次人才来本市工作。"
    "建设公共技术服务平台，为中小企业提供检验检测和研发设计服务，支持科技企业孵化器发展。",
    "第三百条本条由有关部门负责解释并组织实施。",
]
PIECES = [PARAGRAPHS[1].partition("。")[0] + "。", PARAGRAPHS[1].partition("。")[2]]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join([PARAGRAPHS[0], "短。", "", *PARAGRAPHS[1:], PARAGRAPHS[0]]), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_model_alone_gives_the_calibrated_mean_of_its_two_readings(
    tmp_path: Path, text_file: Path, fitted: Path, labels_folder: Path, taxonomy: Taxonomy
) -> None:
    out = tmp_path / "soft.jsonl"
    command = ["soft-label", "--text", str(text_file), "--model", str(fitted), "--labels", str(labels_folder)]
    assert main([*command, "--keep-empty", "1", "--out", str(out)]) == 0
    rows = annotations.read([out], taxonomy)
    assert [row.text for row in rows] == PARAGRAPHS
    tagger = Tagger.load(fitted)
    whole = tagger.logits(PARAGRAPHS)[0]
    halves = [tagger.logits(list(parts))[0].max(axis=0) for parts in (PARAGRAPHS[:1], PIECES, PARAGRAPHS[2:])]
    expected = sigmoid((whole + np.array(halves)) / 2 / tagger.artifact.calibration.temperature)
    np.testing.assert_allclose([row.targets for row in rows], expected, atol=1e-4)


def test_pieces_are_whole_sentences_and_lose_nothing() -> None:
    assert soft_labels.pieces(PARAGRAPHS[1]) == PIECES
    long = "建" * 100
    assert soft_labels.pieces(f"甲；乙。{long}。丙") == ["甲；乙。", f"{long}。", "丙"]
    for text in ("", "没有句号", "。。", *PARAGRAPHS):
        assert "".join(soft_labels.pieces(text)) == text


def test_the_teachers_are_measured_on_dev_and_do_not_label_it(
    tmp_path: Path,
    text_file: Path,
    fitted: Path,
    labels_folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dev, out = tmp_path / "dev.jsonl", tmp_path / "soft.jsonl"
    row = {"id": "dev-1", "doc": "dev", "text": PARAGRAPHS[2], "instruments": ["subsidy"], "industries": []}
    dev.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    command = ["soft-label", "--text", str(text_file), "--model", str(fitted), "--keep-empty", "1"]
    with caplog.at_level("INFO"):
        assert main([*command, "--dev", str(dev), "--labels", str(labels_folder), "--out", str(out)]) == 0
    assert [row["text"] for row in read(out)] == PARAGRAPHS[:2]
    for teacher in (str(fitted), "mean"):
        assert f"{teacher}: mean average precision 1.000" in caplog.text


def test_a_document_to_learn_from_and_to_measure_on_is_refused(
    tmp_path: Path, text_file: Path, rows_file: Path, labels_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = tmp_path / "dev.jsonl"
    row = {"id": "dev-1", "doc": "d3", "text": PARAGRAPHS[2], "instruments": [], "industries": []}
    dev.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    command = ["soft-label", "--text", str(text_file), "--annotations", str(rows_file), "--labels", str(labels_folder)]
    assert main([*command, "--dev", str(dev), "--out", str(tmp_path / "soft.jsonl")]) == 1
    assert "document 'd3' is in --annotations and --dev" in capsys.readouterr().err


def test_documents_are_told_apart_and_no_paragraph_is_drawn_twice(text_file: Path) -> None:
    assert soft_labels.draw([text_file], set(), 10, seed=1) == [
        (0, PARAGRAPHS[0]),
        (1, PARAGRAPHS[1]),
        (1, PARAGRAPHS[2]),
    ]
    assert len(soft_labels.draw([text_file], set(), 2, seed=1)) == 2


def test_annotated_and_excluded_texts_are_not_drawn(text_file: Path) -> None:
    excluded = {soft_labels.comparable(PARAGRAPHS[0])}
    assert [text for _, text in soft_labels.draw([text_file], excluded, 10, seed=1)] == PARAGRAPHS[1:]


def test_the_tfidf_teacher_thinks_a_label_likely_where_its_words_are(
    rows_file: Path, settings_file: Path, taxonomy: Taxonomy
) -> None:
    settings = config.load(settings_file)
    named = [taxonomy.column(label) for label in ("subsidy", "talent", "platform")]
    rows = [
        annotations.Annotation(row.id, row.doc, row.text, tuple(row.targets[i] for i in named))
        for row in annotations.read([rows_file], taxonomy)
    ]
    logits = soft_labels.tfidf_logits(rows, PARAGRAPHS, settings)
    assert logits.shape == (3, 3)
    assert logits[0].argmax() == 0
    assert logits[1, 1] > logits[0, 1]
    assert logits[1, 2] > logits[2, 2]


def test_paragraphs_that_nothing_applies_to_are_thinned() -> None:
    probability = np.array([[0.9, 0.0], [0.01, 0.02], [0.06, 0.0]], dtype=np.float32)
    assert soft_labels.keep(probability, 0.05, 0.0, seed=1).tolist() == [0, 2]
    assert soft_labels.keep(probability, 0.05, 1.0, seed=1).tolist() == [0, 1, 2]
    assert soft_labels.keep(probability, 0.5, 0.0, seed=1).tolist() == [0]


def test_without_a_teacher_nothing_is_done(tmp_path: Path, text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["soft-label", "--text", str(text_file), "--out", str(tmp_path / "soft.jsonl")]) == 1
    assert "no teacher; give --model, --annotations, or both" in capsys.readouterr().err


def test_a_teacher_of_other_labels_is_refused(
    tmp_path: Path, text_file: Path, tiny_model: Path, labels_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "labels"
    other.mkdir()
    text = (labels_folder / "taxonomy.yaml").read_text(encoding="utf-8")
    (other / "taxonomy.yaml").write_text(text.replace("id: subsidy", "id: subvention"), encoding="utf-8")
    command = ["soft-label", "--text", str(text_file), "--model", str(tiny_model), "--labels", str(other)]
    assert main([*command, "--out", str(tmp_path / "soft.jsonl")]) == 1
    assert "its labels are not those of --labels" in capsys.readouterr().err


def test_text_without_a_paragraph_long_enough_is_refused(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("短。\n", encoding="utf-8")
    with pytest.raises(InputError, match="no paragraph of 12 to 1000 characters"):
        soft_labels.draw([short], set(), 10, seed=1)


def test_soft_rows_are_learnt_from_and_never_measured_or_calibrated_on(settings_file: Path) -> None:
    read_rows = [annotations.Annotation(f"r{i}", f"d{i}", "读过的。", (float(i % 2),)) for i in range(10)]
    soft = [annotations.Annotation(f"s{i}", f"d{i}", "没读过的。", (1.0,), soft=True) for i in range(10)]
    held_out, train = fit.split([*read_rows, *soft], config.load(settings_file))
    assert held_out
    assert not any(row.soft for row in held_out)
    documents = {row.doc for row in held_out}
    assert {row.id for row in train} == {row.id for row in [*read_rows, *soft] if row.doc not in documents}
