"""The model card says what ``metrics.json`` says, and the manifest's headline figures do too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from policytag.taxonomy import Taxonomy
from training import card, config, report


def metrics_of(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_the_card_is_what_its_metrics_render_to(fitted: Path, taxonomy: Taxonomy, settings_file: Path):
    settings = config.load(settings_file, seed=3)
    assert (fitted / "README.md").read_text(encoding="utf-8") == card.render(metrics_of(fitted), taxonomy, settings)


def test_every_label_stands_on_the_card_with_its_figures(fitted: Path, taxonomy: Taxonomy):
    text = (fitted / "README.md").read_text(encoding="utf-8")
    figures = metrics_of(fitted)
    for label in taxonomy.labels:
        f = figures["model"]["labels"][label.id]
        row = next(line for line in text.splitlines() if f"`{label.id}`" in line)
        assert [cell.strip() for cell in row.split("|")[2:-1]] == [
            f"{f['precision']:.3f}",
            f"{f['recall']:.3f}",
            f"{f['f1']:.3f}",
            str(f["support"]),
            f"{figures['thresholds'][label.id]:.2f}",
        ]


def test_group_figures_and_the_baseline_beside_them_stand_on_the_card(fitted: Path):
    text = (fitted / "README.md").read_text(encoding="utf-8")
    figures = metrics_of(fitted)
    for group, values in figures["model"]["groups"].items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {report.GROUP_NAMES[group]} |"))
        assert report.with_interval(values, "macro_f1") in row
        assert f"{figures['baseline']['groups'][group]['macro_f1']:.3f}" in row
        assert report.with_interval(figures["difference"][group], "macro_f1", sign="+") in row


def test_without_a_baseline_the_card_says_nothing_of_one(fitted: Path, taxonomy: Taxonomy, settings_file: Path):
    figures = {key: value for key, value in metrics_of(fitted).items() if key not in ("baseline", "difference")}
    assert "baseline" not in card.render(figures, taxonomy, config.load(settings_file))


def test_a_network_that_was_taught_elsewhere_is_said_to_be_calibrated_alone(fitted: Path, taxonomy: Taxonomy):
    text = card.render(metrics_of(fitted), taxonomy, config.load(fitted / "training.toml", epochs=0))
    assert "had been taught before; here it was calibrated and measured" in text
    assert "epochs" not in text


def test_the_card_admits_that_figures_flatter_where_thresholds_saw_the_same_set(fitted: Path):
    assert "flatter a little" in (fitted / "README.md").read_text(encoding="utf-8")


def test_the_card_names_no_folder_of_the_machine(fitted: Path):
    for name in ("README.md", "metrics.json", "manifest.json", "training.toml", "config.json"):
        assert not re.search(r"(?<![\w.:/])/(tmp|home|root|Users|work)\b", (fitted / name).read_text(encoding="utf-8"))


def test_the_code_on_the_card_runs(fitted: Path, monkeypatch: pytest.MonkeyPatch):
    blocks = re.findall(r"```python\n(.*?)```", (fitted / "README.md").read_text(encoding="utf-8"), flags=re.S)
    monkeypatch.chdir(fitted)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})


def test_the_manifest_carries_the_headline_figures(fitted: Path):
    manifest = json.loads((fitted / "manifest.json").read_text(encoding="utf-8"))
    figures = metrics_of(fitted)
    assert manifest["metrics"]["all_macro_f1"] == figures["model"]["groups"]["all"]["macro_f1"]
    assert manifest["metrics"]["baseline_industry_macro_f1"] == figures["baseline"]["groups"]["industry"]["macro_f1"]
    assert manifest["metrics"]["parity"] == figures["parity"] <= 1e-4
