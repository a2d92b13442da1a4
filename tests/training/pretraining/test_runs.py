"""Whole runs: the written encoder, what is kept and refused, and runs killed at random moments."""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertModel

from policytag.errors import InputError
from training.files import locked
from training.pretraining.config import Inputs, PretrainConfig
from training.pretraining.errors import PretrainError
from training.pretraining.operation import pretrain
from training.tokenizer import load_tokenizer


def weights(inputs: Inputs) -> bytes:
    return (inputs.out / "model.safetensors").read_bytes()


def probe_files(folder: Path, topics: tuple[str, ...]) -> dict[str, Any]:
    (folder / "labels").mkdir()
    ids = ("subsidy", "talent", "platform", "approval_reform")
    labels = [{"id": name, "facet": "instrument", "name_zh": name, "name_en": name, "definition": name} for name in ids]
    taxonomy = {"version": "1", "labels": labels}
    (folder / "labels" / "taxonomy.yaml").write_text(json.dumps(taxonomy), encoding="utf-8")
    rows = [
        {"id": str(i), "doc": "d", "text": topics[i % 4][: 4 + i % 5], "instruments": [ids[i % 4]], "industries": []}
        for i in range(40)
    ]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {"probe_train": [path], "probe_dev": [path], "labels": folder / "labels"}


def test_a_run_writes_an_encoder_that_transformers_loads_and_a_card_with_its_figures(
    tmp_path: Path, inputs: Inputs, topics: tuple[str, ...], tiny: Callable[..., PretrainConfig]
) -> None:
    (inputs.out).mkdir()
    (inputs.out / "loss.png").write_text("stays")
    assert pretrain(tiny(), replace(inputs, **probe_files(tmp_path, topics)))
    names = {path.name for path in inputs.out.iterdir()}
    assert names == {
        "README.md", "config.json", "loss.png", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "training_log.jsonl",
    }  # fmt: skip
    model, tokenizer = AutoModel.from_pretrained(inputs.out), AutoTokenizer.from_pretrained(inputs.out)
    assert type(model) is BertModel
    assert model.dtype == torch.float16
    assert model.config.hidden_dropout_prob == 0.1
    assert json.loads((inputs.out / "config.json").read_text())["architectures"] == ["BertModel"]
    encoded = tokenizer("补贴", return_tensors="pt")
    assert encoded["input_ids"].tolist()[0][0] == 2
    assert tokenizer.mask_token == "[MASK]"
    assert torch.isfinite(model.float()(**encoded).pooler_output).all()
    card = (inputs.out / "README.md").read_text(encoding="utf-8")
    records = [json.loads(line) for line in (inputs.out / "training_log.jsonl").read_text().splitlines()]
    assert "6 of 6 steps" in card
    assert "1600 characters, 20 documents, 160 paragraphs" in card
    last = {key: value for record in records for key, value in record.items()}
    assert f"{last['validation_mlm']:.4f}" in card
    assert f"{last['probe_macro_f1']:.4f}" in card
    assert last["probe_macro_f1"] > 0.9  # the topics share no character
    assert list((inputs.work / "tensorboard").glob("events.*"))


def test_a_run_learns_which_passages_belong_together(inputs: Inputs, tiny: Callable[..., PretrainConfig]) -> None:
    pretrain(tiny(max_steps=60, learning_rate=5e-3, precision="fp32"), inputs)
    records = [json.loads(line) for line in (inputs.work / "log.jsonl").read_text().splitlines()]
    train = [record["train_loss"] for record in records if "train_loss" in record]
    assert train[-1] < train[0] - 0.5
    assert len(list((inputs.work / "checkpoints").iterdir())) == 2


def test_a_tokenizer_is_trained_once_and_kept_when_none_is_given(
    inputs: Inputs, tiny: Callable[..., PretrainConfig]
) -> None:
    settings = tiny(vocabulary_size=50)
    assert not pretrain(settings, replace(inputs, tokenizer=None), max_minutes=0)
    (kept,) = inputs.work.glob("tokenizer-*.json")
    content = kept.read_bytes()
    assert pretrain(settings, replace(inputs, tokenizer=None), resume=True)
    assert kept.read_bytes() == content
    assert load_tokenizer(inputs.out).to_str() == load_tokenizer(kept).to_str()


def test_a_run_stopped_for_time_resumes_to_the_same_weights(
    inputs: Inputs, tmp_path: Path, tiny: Callable[..., PretrainConfig]
) -> None:
    whole = replace(inputs, out=tmp_path / "whole", work=tmp_path / "work2")
    assert pretrain(tiny(dropout=0.1), whole)
    assert not pretrain(tiny(dropout=0.1), inputs, max_minutes=0)
    assert not inputs.out.exists()
    assert pretrain(tiny(dropout=0.1, eval_steps=2), inputs, resume=True)
    assert weights(inputs) == weights(whole)


def test_a_probe_without_rows_to_score_is_refused(
    inputs: Inputs, tmp_path: Path, topics: tuple[str, ...], tiny: Callable[..., PretrainConfig]
) -> None:
    with pytest.raises(PretrainError, match="give both or neither"):
        pretrain(tiny(), replace(inputs, **{**probe_files(tmp_path, topics), "probe_dev": []}))


def test_a_second_run_in_a_used_work_folder_is_refused(inputs: Inputs, tiny: Callable[..., PretrainConfig]) -> None:
    pretrain(tiny(max_steps=2), inputs)
    with pytest.raises(PretrainError, match="--resume"):
        pretrain(tiny(max_steps=2), inputs)


def test_resuming_with_other_settings_or_other_text_is_refused(
    inputs: Inputs, tmp_path: Path, tiny: Callable[..., PretrainConfig]
) -> None:
    pretrain(tiny(), inputs, max_minutes=0)
    with pytest.raises(PretrainError, match="written with another configuration"):
        pretrain(tiny(learning_rate=0.5), inputs, resume=True)
    more = tmp_path / "more.txt"
    more.write_text("资金补贴\n人才引进", encoding="utf-8")
    with pytest.raises(PretrainError, match="written with another data"):
        pretrain(tiny(), replace(inputs, text=[*inputs.text, more]), resume=True)


def test_resuming_with_passages_of_another_recipe_is_refused(
    inputs: Inputs, tiny: Callable[..., PretrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrain(tiny(), inputs, max_minutes=0)
    monkeypatch.setattr("training.pretraining.passages.PASSAGE_RECIPE", 99)
    with pytest.raises(PretrainError, match="written with another data"):
        pretrain(tiny(), inputs, resume=True)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    inputs: Inputs, caplog: pytest.LogCaptureFixture, tiny: Callable[..., PretrainConfig]
) -> None:
    pretrain(tiny(), inputs)
    right = weights(inputs)
    newest = inputs.work / "checkpoints" / "step-00000006" / "state.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with caplog.at_level(logging.INFO):
        assert pretrain(tiny(), inputs, resume=True)
    assert "step-00000006: damaged" in caplog.text
    assert "resuming at step 4" in caplog.text
    assert weights(inputs) == right


def test_a_loss_that_explodes_stops_the_run_and_leaves_the_checkpoints(
    inputs: Inputs, tiny: Callable[..., PretrainConfig]
) -> None:
    with pytest.raises(PretrainError, match=r"step \d+: .* not finite"):
        pretrain(tiny(learning_rate=1e30, checkpoint_steps=1, warmup_steps=0), inputs)
    assert not inputs.out.exists()
    assert list((inputs.work / "checkpoints").iterdir())


def test_two_runs_cannot_share_a_work_folder(inputs: Inputs, tiny: Callable[..., PretrainConfig]) -> None:
    with locked(inputs.work / "lock"), pytest.raises(InputError, match="another run works here"):
        pretrain(tiny(), inputs)


# ----------------------------------------------------------------------------------------------------------- kills


def killed_run(settings: PretrainConfig, inputs: Inputs, kills: int) -> int:
    """Runs in processes that are killed at random moments while they get on; returns how often one was killed."""
    # Forked from a server that has loaded torch once and computed nothing.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.pretraining.operation"])
    rng, done = random.Random(kills), 0
    while True:
        process = context.Process(target=pretrain, args=(settings, inputs), kwargs={"resume": True})
        process.start()
        if done < kills:
            newest = max((inputs.work / "checkpoints").glob("*"), default=None)
            while process.is_alive() and max((inputs.work / "checkpoints").glob("*"), default=None) == newest:
                if rng.random() < 0.002:
                    break  # now and then before there is anything new
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
        process.join()
        if process.exitcode == 0:
            return done
        assert process.exitcode == -9
        done += 1


def expect_the_same_weights_after_kills(settings: PretrainConfig, inputs: Inputs, folder: Path, kills: int) -> None:
    alone = replace(inputs, out=folder / "alone", work=folder / "alone-work")
    assert killed_run(settings, alone, 0) == 0
    assert killed_run(settings, inputs, kills) == kills
    assert weights(inputs) == weights(alone)
    steps_logged = [json.loads(line)["step"] for line in (inputs.work / "log.jsonl").read_text().splitlines()]
    assert steps_logged == sorted(steps_logged)
    assert steps_logged[-1] == settings.max_steps


def test_a_run_killed_four_times_ends_in_the_same_bytes_as_one_left_alone(
    inputs: Inputs, tmp_path: Path, tiny: Callable[..., PretrainConfig]
) -> None:
    settings = tiny(max_steps=60, checkpoint_steps=1, eval_steps=5)
    expect_the_same_weights_after_kills(settings, inputs, tmp_path, kills=4)


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_in_the_same_bytes_as_one_left_alone(
    inputs: Inputs, tmp_path: Path, tiny: Callable[..., PretrainConfig]
) -> None:
    settings = tiny(max_steps=250, checkpoint_steps=1, eval_steps=5)
    expect_the_same_weights_after_kills(settings, inputs, tmp_path, kills=20)
