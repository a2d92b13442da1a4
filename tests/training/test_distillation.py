"""The teacher and the student: batches without padding, both networks, and the command from text to a student."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policytag.encoding import Encoder, Recipe
from policytag.tagger import Tagger
from policytag.taxonomy import Taxonomy
from training import annotations, config, finetune
from training.cli import main
from training.distillation import student
from training.distillation.batches import Batch, Loader, Specials, Stream, lots
from training.distillation.learning import factor, pair, predict
from training.distillation.teacher import Teacher
from training.distillation.texts import Texts
from training.tokenizer import load_tokenizer

CPU = torch.device("cpu")
TEXTS = ["建设公共技术服务平台。" * n for n in (1, 4, 2, 9)] + ["。", "引进和培养高层次人才。"]
RECIPE = Recipe(max_tokens=32, overlap=4, piece_tokens=16)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return Encoder(tiny_encoder / "tokenizer.json", RECIPE)


@pytest.fixture(scope="module")
def texts(encoder: Encoder) -> Texts:
    return Texts.encode(encoder, TEXTS)


@pytest.fixture(scope="module")
def special(encoder: Encoder, tiny_encoder: Path) -> Specials:
    size = load_tokenizer(str(tiny_encoder)).get_vocab_size()
    return Specials(encoder.pad_id, encoder.cls_id, encoder.sep_id, 4, 5, size)


def everything(texts: Texts) -> np.ndarray:
    return np.arange(len(texts))


def windows_of(batch: Batch) -> list[list[int]]:
    bounds = batch.bounds.tolist()
    return [batch.tokens[a:b].tolist() for a, b in itertools.pairwise(bounds)]


def test_a_batch_holds_the_windows_that_serving_reads_and_padding_that_no_text_owns(
    encoder: Encoder, texts: Texts, special: Specials
) -> None:
    expected, owners, _ = encoder.windows(TEXTS)
    batch = Loader(texts, special, CPU).load(everything(texts), texts.pieces, 256)
    assert batch.num_texts == len(TEXTS)
    assert len(batch.tokens) == 256
    found = windows_of(batch)
    assert found[: len(expected)] == expected
    assert batch.owner[: len(expected)].tolist() == owners.tolist()
    assert {token for window in found[len(expected) :] for token in window} == {special.pad}
    assert set(batch.owner[len(expected) :].tolist()) == {len(TEXTS)}
    assert batch.positions[:3].tolist() == [0, 1, 2]
    assert batch.longest == max(map(len, found))


def test_windows_of_even_length_cover_a_text_in_order(texts: Texts) -> None:
    even = texts.evenly(10)
    assert even.length.max() <= 10
    for text, (start, length) in enumerate(zip(texts.start, texts.length, strict=True)):
        own = slice(even.first[text], even.first[text] + even.number[text])
        covered = np.concatenate([np.arange(a, a + n) for a, n in zip(even.start[own], even.length[own], strict=True)])
        assert covered.tolist() == list(range(start, start + length))
        assert np.ptp(even.length[own]) <= 1


def test_lots_have_every_text_once_and_never_too_many_tokens(texts: Texts) -> None:
    most = int(texts.pieces.tokens.max())
    found = list(lots(everything(texts), texts.pieces, most, np.random.default_rng(0)))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(texts)))
    assert all(texts.pieces.tokens[lot].sum() <= most for lot in found)
    with pytest.raises(ValueError, match=f"a text of {most} tokens in batches of {most - 1}; expected larger"):
        list(lots(everything(texts), texts.pieces, most - 1))


def test_a_joined_pair_is_one_window(encoder: Encoder, texts: Texts, special: Specials) -> None:
    batch = Loader(texts, special, CPU).load(np.array([0, 2]), texts.pieces, 64, partners=np.array([5, -1]))
    one, two, other = (encoder.encode([TEXTS[i]])[0].windows[0] for i in (0, 2, 5))
    assert windows_of(batch)[:2] == [[*one[:-1], *other[1:]], two]


def test_masked_tokens_of_the_stream_are_what_stood_there(texts: Texts, special: Specials) -> None:
    stream = Stream(texts, len(texts), special, 12, CPU)
    whole = stream._stream.tolist()
    assert whole[: texts.length[0] + 1] == [*texts.ids[: texts.length[0]].tolist(), special.sep]
    batches = stream.batches(24, 0.25, np.random.default_rng(0))
    changed = 0.0
    for _ in range(30):
        batch, places, were = next(batches)
        assert (were >= special.first_text).all()
        assert batch.tokens[::12].tolist() == [special.cls] * 2
        changed += (batch.tokens[places] != were).float().mean().item() / 30
        text = batch.tokens.clone()
        text[places] = were
        for row in text.view(2, 12)[:, 1:].tolist():
            assert any(whole[i : i + 11] == row for i in range(len(whole)))
    assert 0.75 < changed < 1


def test_the_student_without_padding_is_the_network_that_serves(
    tiny_encoder: Path, taxonomy: Taxonomy, settings_file: Path, tmp_path: Path, special: Specials
) -> None:
    settings = config.load(settings_file, max_tokens=32, overlap=4, piece_tokens=16)
    start = finetune.prepare(str(tiny_encoder), taxonomy, settings, tmp_path)
    start.model.eval()
    texts = Texts.encode(start.encoder, TEXTS)
    loader = Loader(texts, special, CPU)
    found = predict(lambda batch: student.logits(start.model, batch), loader, texts.pieces, len(TEXTS), 256)
    np.testing.assert_allclose(found, finetune.predict(start, TEXTS), atol=1e-5)


@pytest.mark.parametrize("whole", [True, False])
def test_what_else_is_in_a_batch_does_not_change_what_the_teacher_says(
    texts: Texts, special: Specials, whole: bool
) -> None:
    torch.manual_seed(0)
    teacher = Teacher(special.vocabulary, 64, 2, 3)
    for parameter in teacher.parameters():  # zeros would hide what reaches what
        torch.nn.init.normal_(parameter, std=0.2)
    loader, windows = Loader(texts, special, CPU), texts.evenly(10) if whole else texts.pieces

    def logits(batch: Batch) -> torch.Tensor:
        return teacher.logits(batch, whole=whole)

    together = predict(logits, loader, windows, len(texts), 256)
    alone = [logits(loader.load(np.array([text]), windows, 200)).detach().numpy()[0] for text in range(len(texts))]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.ptp(together, axis=0).min() > 1e-3


def test_the_rate_rises_stays_and_falls() -> None:
    assert [factor(p, 0.1, 0.5) for p in (0.0, 0.05, 0.3, 0.75, 1.0)] == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_half_of_the_short_texts_are_joined_in_pairs() -> None:
    chosen, short = np.arange(100, 200), np.zeros(300, dtype=bool)
    short[100:140] = True
    texts, partners = pair(chosen, short, np.random.default_rng(0))
    behind = partners[partners >= 0]
    assert len(behind) == 10
    assert short[behind].all()
    assert short[texts[partners >= 0]].all()
    assert sorted([*texts, *behind]) == chosen.tolist()


COMMAND = ["--hidden", "64", "--layers", "1", "--batch-tokens", "512", "--teacher-passes", "2", "--label-passes", "60"]


@pytest.fixture
def given(tmp_path: Path, rows_file: Path, tiny_encoder: Path, labels_folder: Path, settings_file: Path) -> list[str]:
    rows = [json.loads(line) for line in rows_file.read_text(encoding="utf-8").splitlines()]
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"另有规定。{row['text']}" for row in rows), encoding="utf-8")
    return ["distil", "--text", str(text), "--annotations", str(rows_file), "--encoder", str(tiny_encoder),
            "--labels", str(labels_folder), "--config", str(settings_file), "--out", str(tmp_path / "student"),
            *COMMAND]  # fmt: skip


def test_a_teacher_makes_a_student_that_fit_calibrates_without_another_step(
    given: list[str], tmp_path: Path, rows_file: Path, labels_folder: Path, settings_file: Path, taxonomy: Taxonomy,
    write_rows: Callable[[Path, list[dict[str, Any]]], Path], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    logits, soft = tmp_path / "held-out.jsonl", tmp_path / "soft.jsonl"
    learnt = ["--student-passes", "1", "--soft-passes", "100"]
    assert main([*given, *learnt, "--save-logits", str(logits), "--save-soft", str(soft)]) == 0
    rows = annotations.read([soft], taxonomy)
    assert rows
    assert all(row.soft and row.text.startswith("另有规定。") for row in rows)
    held = {json.loads(line)["id"] for line in logits.read_text(encoding="utf-8").splitlines()}
    known = annotations.read([rows_file], taxonomy)
    assert 0 < len(held) < len(known)
    settings = tmp_path / "ready.toml"
    settings.write_text(settings_file.read_text(encoding="utf-8").replace("epochs = 30", "epochs = 0"), "utf-8")
    dev = [json.loads(line) for line in rows_file.read_text(encoding="utf-8").splitlines()]
    dev = [{**row, "id": f"dev-{row['id']}", "doc": f"dev-{row['doc']}"} for row in dev]
    dev_file = write_rows(tmp_path / "dev.jsonl", dev)
    command = ["fit", "--annotations", str(rows_file), "--dev", str(dev_file), "--out-of-fold", str(logits),
               "--encoder", str(tmp_path / "student"), "--labels", str(labels_folder), "--config", str(settings),
               "--out", str(tmp_path / "model"), "--skip-baseline"]  # fmt: skip
    assert main(command) == 0
    assert "reads with" not in caplog.text
    (scratch := tmp_path / "scratch").mkdir()
    finetune.prepare(str(tmp_path / "student"), taxonomy, config.load(settings, piece_tokens=16), scratch)
    assert "student reads with piece_tokens = 0, the settings say 16" in caplog.text
    report = json.loads((tmp_path / "model" / "metrics.json").read_text(encoding="utf-8"))
    assert report["model"]["groups"]["all"]["mean_average_precision"] > 0.9
    fitted = Tagger.load(tmp_path / "model")
    kept = [row for row in known if row.id in held]
    expected = [json.loads(line)["logits"] for line in logits.read_text(encoding="utf-8").splitlines()]
    found = fitted.logits([row.text for row in kept])[0]
    np.testing.assert_allclose(found, [[row[label] for label in taxonomy.ids] for row in expected], atol=0.5)


def test_a_second_run_goes_on_from_the_teacher(given: list[str], tmp_path: Path) -> None:
    short = ["--student-passes", "0", "--soft-passes", "0.1"]
    assert main([*given, *short]) == 0
    made = sorted((tmp_path / "student-work").glob("*.npy"))
    assert [path.name for path in made] == ["pieces.npy", "whole.npy"]
    before = [path.stat().st_mtime_ns for path in made]
    shutil.rmtree(tmp_path / "student")
    assert main([*given, *short, "--soft-passes", "0.2"]) == 0
    assert [path.stat().st_mtime_ns for path in made] == before


def test_another_teacher_is_refused_in_the_same_work_folder(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "--student-passes", "0", "--soft-passes", "0.1", "--out", str(tmp_path / "a"),
                 "--work", str(tmp_path / "w")]) == 0  # fmt: skip
    assert main([*given, "--layers", "2", "--out", str(tmp_path / "b"), "--work", str(tmp_path / "w")]) == 1
    assert "other teacher" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--hidden", "100"], "--hidden 100; expected a multiple of 64"),
        (["--batch-tokens", "64"], "--batch-tokens 64; expected at least 256"),
        (["--text", "nowhere.txt"], "no such file"),
        (["--soft-passes", "-1"], "--soft-passes -1"),
        (["--layers", "0"], "--layers 0; expected 1 to 100"),
    ],
)
def test_what_cannot_be_is_refused_with_the_argument_to_mend(
    given: list[str], change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, *change]) == 1
    assert message in capsys.readouterr().err
