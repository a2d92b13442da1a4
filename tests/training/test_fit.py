"""Fitting end to end on sixty rows, and what goes wrong before, during and after it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import annotations, config, export, finetune, fit, leave_one_out, out_of_fold
from training.annotations import Annotation, target_matrix
from training.cli import main
from training.config import Config, ConfigError
from training.finetune import TrainingError

Rows = list[dict[str, Any]]
Writer = Callable[[Path, Rows], Path]


@pytest.fixture(scope="module")
def brief(settings_file: Path) -> Config:
    return config.load(settings_file, epochs=1)


@pytest.fixture
def dev_file(tmp_path: Path, authored_rows: Rows, write_rows: Writer) -> Path:
    """Six rows of a document of their own."""
    return write_rows(tmp_path / "dev.jsonl", [row | {"id": f"x{row['id']}", "doc": "x"} for row in authored_rows[:6]])


@pytest.fixture
def ask(rows_file: Path, tiny_encoder: Path, labels_folder: Path, tmp_path: Path) -> Callable[..., fit.Request]:
    """Makes a request to learn from `rows_file`, changed by keywords."""
    request = fit.Request((rows_file,), (), str(tiny_encoder), labels_folder, tmp_path / "out")
    return lambda **changes: replace(request, **changes)


def weights_after_training(
    encoder: Path, rows: Path, taxonomy: Taxonomy, settings: Config, scratch: Path
) -> torch.Tensor:
    scratch.mkdir()
    start = finetune.prepare(str(encoder), taxonomy, settings, scratch)
    data = annotations.read([rows], taxonomy)[:16]
    finetune.train(start, [row.text for row in data], target_matrix(data), settings)
    return start.model.classifier.weight.detach().clone()


def damaged(encoder: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """A copy of an encoder with changed weights."""
    shutil.copytree(encoder, folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_model_learns_sixty_plain_rows(fitted: Path):
    figures = json.loads((fitted / "metrics.json").read_text(encoding="utf-8"))
    assert figures["model"]["groups"]["all"]["micro_f1"] > 0.8
    assert figures["evaluated_on"] == figures["calibrated_on"] == "held-out"
    assert figures["data"]["train"]["paragraphs"] + figures["data"]["evaluation"]["paragraphs"] == 60


def test_the_report_is_the_models_metrics(fitted: Path):
    report = fitted.with_name("report.json").read_text(encoding="utf-8")
    assert json.loads(report) == json.loads((fitted / "metrics.json").read_text(encoding="utf-8"))


def test_the_settings_travel_with_the_model(fitted: Path, settings_file: Path):
    assert config.load(fitted / "training.toml") == config.load(settings_file, seed=3)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny_encoder: Path, rows_file: Path, taxonomy: Taxonomy, settings_file: Path, tmp_path: Path
):
    first, again, other = (
        weights_after_training(
            tiny_encoder, rows_file, taxonomy, config.load(settings_file, epochs=1, seed=s), tmp_path / n
        )
        for s, n in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_computes_in_bfloat16_and_prediction_in_float32(
    tiny_encoder: Path, rows_file: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    start = finetune.prepare(str(tiny_encoder), taxonomy, brief, tmp_path)
    seen: list[tuple[bool, torch.dtype]] = []
    start.model.get_submodule("bert.encoder.layer.0.output.dense").register_forward_hook(
        lambda module, inputs, output: seen.append((module.training, output.dtype))
    )
    data = annotations.read([rows_file], taxonomy)[:8]
    finetune.train(start, [row.text for row in data], target_matrix(data), brief)
    finetune.predict(start, ["给予补贴。"])
    assert set(seen) == {(True, torch.bfloat16), (False, torch.float32)}


def test_positive_weights_by_hand():
    targets = np.zeros((100, 3), dtype=np.float32)
    targets[:4, 0] = 1  # sqrt(96 / 4)
    targets[:80, 1] = 1  # sqrt(20 / 80) is below 1
    assert finetune.positive_weights(targets, 1, 8).tolist() == pytest.approx([np.sqrt(24), 1, 8])


def test_soft_targets_pull_towards_their_probability():
    loss = finetune._Loss(np.ones(1, dtype=np.float32))
    logits = torch.tensor([[0.0], [np.log(0.3 / 0.7)]], requires_grad=True)
    loss(logits, torch.tensor([[0.3], [0.3]])).backward()
    assert logits.grad is not None
    # The mean of two; the gradient of each is sigmoid(logit) - target.
    assert logits.grad.ravel().tolist() == pytest.approx([(0.5 - 0.3) / 2, 0.0], abs=1e-6)


def test_positives_count_as_often_as_their_weight_says():
    loss = finetune._Loss(np.array([4.0], dtype=np.float32))
    zero = torch.zeros(1, 1)
    assert loss(zero, torch.ones(1, 1)).item() == pytest.approx(4 * np.log(2))
    assert loss(zero, torch.zeros(1, 1)).item() == pytest.approx(np.log(2))


def test_a_batch_goes_through_the_network_in_lots_and_each_text_takes_its_windows_largest_logits(
    fitted: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    settings = replace(brief, piece_tokens=12)
    start = finetune.prepare(str(fitted), taxonomy, settings, tmp_path)
    texts = [
        "给予补贴。引进和培养高层次人才。建设公共技术服务平台。",
        "扩大粮食种植面积。",
        "深化行政审批制度改革。" * 3,
    ]
    dataset = finetune._dataset(start.encoder, texts, np.zeros((3, len(taxonomy)), dtype=np.float32))
    rows: Any = list(dataset)
    batch = finetune._Collator(start.encoder.pad_id)(rows)
    assert len(batch["owners"]) > len(texts) == len(set(batch["owners"].tolist()))
    with torch.inference_mode():
        logits = torch.cat([start.model(input_ids=ids, attention_mask=mask).logits for ids, mask in batch["lots"]])
        pooled = finetune._pool(logits, batch["owners"], len(texts)).numpy()
    assert pooled == pytest.approx(finetune.predict(start, texts), abs=1e-5)


def test_only_the_largest_logit_of_a_text_is_pulled():
    logits = torch.tensor([[1.0], [3.0], [2.0]], requires_grad=True)
    finetune._pool(logits, torch.tensor([0, 0, 1]), 2).sum().backward()
    assert logits.grad is not None
    assert logits.grad.ravel().tolist() == [0.0, 1.0, 1.0]


def test_a_classifier_with_the_same_labels_keeps_its_head(
    fitted: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    start = finetune.prepare(str(fitted), taxonomy, brief, tmp_path)
    assert torch.equal(
        start.model.classifier.weight, load_file(fitted / "model.safetensors")["classifier.weight"].float()
    )


def test_a_classifier_with_other_labels_gets_a_new_head(
    fitted: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    turned = Taxonomy("2", taxonomy.labels[::-1])
    start = finetune.prepare(str(fitted), turned, brief, tmp_path)
    assert start.model.config.id2label == dict(enumerate(turned.ids))
    assert start.model.classifier.weight.std().item() == pytest.approx(0.1, abs=0.02)


def test_weights_that_are_not_numbers_stop_the_training(
    tiny_encoder: Path, rows_file: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    name = "encoder.layer.0.output.dense.weight"
    broken = damaged(tiny_encoder, tmp_path / "broken", lambda tensors: tensors[name].fill_(float("nan")))
    with pytest.raises(TrainingError, match="the loss became nan"):
        weights_after_training(broken, rows_file, taxonomy, brief, tmp_path / "scratch")


def test_an_encoder_without_some_layer_is_refused(
    tiny_encoder: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    name = "encoder.layer.1.output.dense.weight"
    broken = damaged(tiny_encoder, tmp_path / "broken", lambda tensors: tensors.pop(name))
    with pytest.raises(TrainingError, match=r"layer\.1\.output\.dense\.weight missing"):
        finetune.prepare(str(broken), taxonomy, brief, tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_an_encoder_with_a_file_cut_short_is_refused_in_one_line(
    tiny_encoder: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path, name: str
):
    shutil.copytree(tiny_encoder, tmp_path / "broken")
    content = (tmp_path / "broken" / name).read_bytes()
    (tmp_path / "broken" / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match="broken") as caught:
        finetune.prepare(str(tmp_path / "broken"), taxonomy, brief, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_knows_nothing_is_refused(
    tiny_encoder: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    start = finetune.prepare(str(tiny_encoder), taxonomy, brief, tmp_path)
    with pytest.raises(TrainingError, match=r"100% of the tokens are \[UNK\]"):
        finetune.train(start, ["ऄअआइई"], np.zeros((1, len(taxonomy)), dtype=np.float32), brief)


def test_windows_longer_than_the_encoder_reads_are_refused(tiny_encoder: Path, taxonomy: Taxonomy, tmp_path: Path):
    with pytest.raises(TrainingError, match="set max_tokens = 64"):
        finetune.prepare(str(tiny_encoder), taxonomy, config.load(), tmp_path)


def test_documents_on_both_sides_are_refused(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], authored_rows: Rows, write_rows: Writer
):
    dev = write_rows(tmp_path / "dev.jsonl", [row | {"id": f"dev-{row['id']}"} for row in authored_rows[:3]])
    assert main(["fit", *arguments, "--dev", str(dev), "--out", str(tmp_path / "out")]) == 1
    assert "document 'd0' is in --annotations and --dev" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_ids_on_both_sides_are_refused(
    ask: Callable[..., fit.Request],
    taxonomy: Taxonomy,
    brief: Config,
    tmp_path: Path,
    authored_rows: Rows,
    write_rows: Writer,
):
    dev = write_rows(tmp_path / "dev.jsonl", [row | {"doc": "x"} for row in authored_rows[:3]])
    with pytest.raises(InputError, match="id 't0' is in --annotations and --dev"):
        fit.read_data(ask(dev=(dev,)), taxonomy, brief)


def test_figures_on_dev_leave_calibration_to_held_out_documents(
    ask: Callable[..., fit.Request], taxonomy: Taxonomy, brief: Config, dev_file: Path
):
    data = fit.read_data(ask(dev=(dev_file,), exclude_docs=("d9",)), taxonomy, brief)
    assert (data.calibrated_on, data.evaluated_on) == ("held-out", "dev")
    docs = [set(annotations.documents(rows)) for rows in (data.train, data.calibration, data.dev)]
    assert docs[0] | docs[1] == {f"d{i}" for i in range(9)}
    assert not docs[0] & docs[1]
    assert docs[2] == {"x"}


def test_held_out_rows_that_a_model_doubted_are_left_out_unless_there_are_no_others(
    taxonomy: Taxonomy, brief: Config, rows_file: Path
):
    rows = annotations.read([rows_file], taxonomy)
    held_out, rest = fit.split(rows, brief)
    doubted = [replace(row, extra={"sample": "uncertain"}) if row in held_out[1:] else row for row in rows]
    assert fit.split(doubted, brief) == ([held_out[0]], rest)
    every = [replace(row, extra={"sample": "uncertain"}) for row in rows]
    assert len(fit.split(every, brief)[0]) == len(held_out)


def test_calibrating_on_dev_leaves_all_rows_to_learn_from(
    ask: Callable[..., fit.Request], taxonomy: Taxonomy, brief: Config, dev_file: Path
):
    data = fit.read_data(ask(dev=(dev_file,), calibrate_on="dev"), taxonomy, brief)
    assert (len(data.train), data.calibration, data.calibrated_on) == (60, data.dev, "dev")


@pytest.mark.parametrize("what", [{"calibrate_on": "dev"}, {"out_of_fold": Path("oof.jsonl")}])
def test_calibrating_elsewhere_needs_rows_to_measure_on(
    ask: Callable[..., fit.Request], taxonomy: Taxonomy, brief: Config, what: dict[str, Any]
):
    with pytest.raises(InputError, match="give --dev"):
        fit.read_data(ask(**what), taxonomy, brief)


def test_out_of_fold_logits_replace_the_held_out_split_and_logits_of_dev_are_saved(
    ask: Callable[..., fit.Request],
    taxonomy: Taxonomy,
    rows_file: Path,
    dev_file: Path,
    fitted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    settings = config.load(fitted / "training.toml", epochs=0)
    five = annotations.read([rows_file], taxonomy)[:5]
    gold = annotations.gold_matrix(five)
    out_of_fold.write(tmp_path / "oof.jsonl", five, np.where(gold, 4, -4).astype(np.float32), taxonomy)

    def write_network(start: finetune.Start, folder: Path, texts: Sequence[str]) -> float:
        for name in ("config.json", "model.safetensors", "tokenizer.json", "model.onnx", "golden.json"):
            shutil.copyfile(fitted / name, folder / name)
        return 0.0

    monkeypatch.setattr(export, "write_model", write_network)
    request = ask(dev=(dev_file,), out_of_fold=tmp_path / "oof.jsonl", save_logits=tmp_path / "saved" / "x.jsonl")
    report = fit.fit(replace(request, with_baseline=False), settings)
    assert {name: report["data"][name]["paragraphs"] for name in ("train", "calibration", "evaluation")} == {
        "train": 60,
        "calibration": 5,
        "evaluation": 6,
    }
    assert (report["calibrated_on"], report["evaluated_on"]) == ("out-of-fold", "dev")
    assert report["temperature"] == pytest.approx(0.1, abs=1e-3)  # the logits are all right, not the untrained model's
    assert set(report["data"]["files"]) == {"rows.jsonl", "dev.jsonl", "oof.jsonl"}
    dev = annotations.read([dev_file], taxonomy)
    assert out_of_fold.read(tmp_path / "saved" / "x.jsonl", dev, taxonomy)[0] == dev


def test_bad_rows_fail_with_one_line_each_and_nothing_is_written(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], authored_rows: Rows, write_rows: Writer
):
    path = write_rows(tmp_path / "bad.jsonl", [row | {"instruments": ["tax"]} for row in authored_rows[:2]])
    assert main(["fit", *arguments, "--annotations", str(path), "--out", str(tmp_path / "out")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "bad.jsonl" in line]
    assert [line.removeprefix(str(path))[:3] for line in lines] == [":1:", ":2:"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--out", "--report", "--save-logits"])
def test_what_cannot_be_written_is_said_before_the_training(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
):
    monkeypatch.setattr(finetune, "prepare", lambda *_: pytest.fail("it began"))
    (tmp_path / "file").write_text("x", encoding="utf-8")
    target = tmp_path / "file" / "below" / "it"
    assert main(["fit", *arguments, "--out", str(tmp_path / "out"), option, str(target)]) == 1
    expected = f"{target}: cannot be written because of {tmp_path / 'file'}; give another place"
    assert capsys.readouterr().err.splitlines()[-1] == expected


def test_a_folder_in_the_place_of_a_report_is_refused(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["fit", *arguments, "--out", str(tmp_path / "out"), "--report", str(tmp_path)]) == 1
    assert f"{tmp_path}: cannot be written" in capsys.readouterr().err


def test_an_error_of_the_operating_system_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "model.onnx")

    monkeypatch.setattr(fit, "fit", full)
    assert main(["fit", *arguments, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("model.onnx: No space left on device; check")


def test_a_baseline_without_n_grams_fails_before_the_training(
    ask: Callable[..., fit.Request], brief: Config, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(finetune, "prepare", lambda *_: pytest.fail("it began"))
    with pytest.raises(InputError, match=r"baseline: .* baseline_min_df"):
        fit.fit(ask(), replace(brief, baseline_min_df=1000))


def test_a_start_that_reads_otherwise_is_warned_of(
    fitted: Path,
    tiny_encoder: Path,
    taxonomy: Taxonomy,
    brief: Config,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    foreign = shutil.copytree(tiny_encoder, tmp_path / "foreign")
    (foreign / "training.toml").write_text("piece_tokens = 'few'", encoding="utf-8")
    caplog.set_level("WARNING")
    for number, (start, pieces) in enumerate([(fitted, 0), (tiny_encoder, 12), (foreign, 12)]):
        (scratch := tmp_path / str(number)).mkdir()
        finetune.prepare(str(start), taxonomy, replace(brief, piece_tokens=pieces), scratch)
        assert not caplog.records
    (scratch := tmp_path / "last").mkdir()
    finetune.prepare(str(fitted), taxonomy, replace(brief, piece_tokens=12), scratch)
    assert "reads with piece_tokens = 0, the settings say 12; set piece_tokens = 0 to keep" in caplog.text


def test_a_start_that_was_taught_here_says_how_texts_are_read(fitted: Path, tiny_encoder: Path, tmp_path: Path):
    start = shutil.copytree(fitted, tmp_path / "start")
    taught = config.load(fitted / "training.toml", piece_tokens=12)
    (start / "training.toml").write_text(taught.to_toml(), encoding="utf-8")
    assert config.load(start=str(start)) == replace(
        config.load(), max_tokens=taught.max_tokens, overlap=taught.overlap, piece_tokens=12
    )
    (given := tmp_path / "given.toml").write_text("piece_tokens = 20", encoding="utf-8")
    assert config.load(given, start=str(start)).piece_tokens == 20
    (start / "training.toml").write_text("piece_tokens = 'few'", encoding="utf-8")
    for other in (start, tiny_encoder, "bert-base-chinese"):
        assert config.load(start=str(other)) == config.load()


def test_an_encoder_that_is_nowhere_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["fit", *arguments, "--encoder", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert str(tmp_path) in capsys.readouterr().err.splitlines()[-1]


def test_an_encoder_is_called_by_its_folders_name_and_hash_or_its_hub_name(tiny_encoder: Path, tmp_path: Path):
    assert fit.encoder_name("hfl/chinese-roberta-wwm-ext") == "hfl/chinese-roberta-wwm-ext"
    assert fit.encoder_name(str(tmp_path)) == tmp_path.name
    digest = hashlib.sha256((tiny_encoder / "model.safetensors").read_bytes()).hexdigest()
    assert fit.encoder_name(str(tiny_encoder)) == f"{tiny_encoder.name} (sha256 {digest[:12]})"


@pytest.mark.parametrize("name", ["./encodr", "/no/encoder"])
def test_a_misspelt_folder_is_not_looked_for_on_the_hub(taxonomy: Taxonomy, brief: Config, tmp_path: Path, name: str):
    with pytest.raises(TrainingError, match=f"{name}: no such folder"):
        finetune.prepare(name, taxonomy, brief, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown setting 'epoch'"),
        ("epochs = true", "expected float"),
        ('batch_size = "32"', "expected int"),
        ("batch_size = 0", "expected 1 to 4096"),
        ('precision = "fp8"', "expected one of bf16, fp32"),
        ("threshold_min = 0.9", "is above its"),
        ("overlap = 511", "expected less than max_tokens - 2"),
        ("piece_tokens = 600", "piece_tokens 600 with max_tokens 512; expected 0, or 3 to max_tokens"),
        ("epochs = = 3", "not TOML"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        config.load(tmp_path / "bad.toml")


def test_leave_one_out_tags_each_document_with_a_model_that_did_not_see_it(
    arguments: list[str],
    brief: Config,
    tmp_path: Path,
    authored_rows: Rows,
    write_rows: Writer,
    monkeypatch: pytest.MonkeyPatch,
):
    seen: list[set[str]] = []
    split = fit.split

    def recorded(rows: Sequence[Annotation], settings: Config) -> tuple[list[Annotation], list[Annotation]]:
        seen.append({row.doc for row in rows})
        return split(rows, settings)

    monkeypatch.setattr(fit, "split", recorded)
    (tmp_path / "brief.toml").write_text(brief.to_toml(), encoding="utf-8")
    tests = write_rows(tmp_path / "tests.jsonl", [row for row in authored_rows if row["doc"] in ("d0", "d1")])
    arguments = ["leave-one-out", *arguments, "--config", str(tmp_path / "brief.toml"), "--test", str(tests)]
    assert main([*arguments, "--report", str(tmp_path / "r.json"), "--write", str(tmp_path / "page" / "r.md")]) == 0
    everything = {f"d{i}" for i in range(10)}
    assert seen == [everything - {"d0"}, everything - {"d1"}]
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert {doc: f["paragraphs"] for doc, f in report["documents"].items()} == {"d0": 6, "d1": 6}
    assert "Leave one document out" in (tmp_path / "page" / "r.md").read_text(encoding="utf-8")


def test_leave_one_out_pools_documents_and_lists_what_is_wrong(taxonomy: Taxonomy, brief: Config):
    zero, talent = (0.0,) * len(taxonomy), (0.0, 1.0) + (0.0,) * (len(taxonomy) - 2)
    rows = [
        Annotation("a", "one", "引进\n人才。", talent),
        Annotation("b", "one", "附件", zero),
        Annotation("c", "two", "人才", talent),
    ]
    chosen = np.zeros((3, len(taxonomy)), dtype=bool)
    chosen[[0, 1], [1, 0]] = True
    report = leave_one_out._report(rows, chosen, chosen.astype(np.float32), taxonomy, brief)
    # Document one: one hit, one extra, 2 / 3; two: one missed. Talent: one hit, one missed.
    assert report["documents"] == {
        "one": {"paragraphs": 2, "micro_f1": 0.6667},
        "two": {"paragraphs": 1, "micro_f1": 0.0},
    }
    assert report["model"]["labels"]["talent"]["f1"] == 0.6667
    assert report["wrong"] == [
        {"id": "b", "start": "附件", "missing": [], "extra": ["subsidy"]},
        {"id": "c", "start": "人才", "missing": ["talent"], "extra": []},
    ]
    report = leave_one_out._report(rows[:1], ~chosen[:1], chosen[:1].astype(np.float32), taxonomy, brief)
    assert report["wrong"][0]["start"] == "引进 人才。"


def test_help_needs_no_torch():
    code = "import sys; sys.argv = ['policytag-train', '--help']\nfrom training.cli import main\ntry:\n    main()\n"
    code += "finally:\n    assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in ("fit", "leave-one-out", "pretrain"))


def test_blending_moves_the_weights_back_towards_the_start() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 4.0)
    finetune.blend(layer, {"weight": torch.tensor([[2.0]])}, 0.25)
    assert layer.weight.item() == 3.5
    finetune.blend(layer, {"weight": torch.tensor([[2.0]])}, 0.0)
    assert layer.weight.item() == 3.5


def test_only_a_start_that_brings_its_head_is_said_to_know_the_labels(
    tiny_encoder: Path, fitted: Path, tmp_path: Path, taxonomy: Taxonomy, settings_file: Path
) -> None:
    for source, known in ((tiny_encoder, False), (fitted, True)):
        folder = tmp_path / str(known)
        folder.mkdir()
        assert finetune.prepare(str(source), taxonomy, config.load(settings_file), folder).head_kept is known
