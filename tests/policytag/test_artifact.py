import json
import re
import shutil
from pathlib import Path

import pytest

from policytag import artifact
from policytag.encoding import Recipe
from policytag.errors import ArtifactError
from policytag.tagger import Tagger


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def reseal(folder: Path, name: str) -> None:
    """Seals a folder again after a file of it was changed, so that only the content can give it away."""
    before = json.loads((folder / "manifest.json").read_text())
    kept = {key: before[key] for key in ("taxonomy", "encoder", "data", "metrics", "versions")}
    manifest = artifact.seal(folder, recipe=Recipe(**before["recipe"]), **kept)
    assert manifest.files[name] != before["files"][name]


def test_an_untouched_folder_loads_and_knows_its_version(tiny_model: Path) -> None:
    loaded = artifact.load(tiny_model)
    assert loaded.manifest.version == json.loads((tiny_model / "manifest.json").read_text())["version"]
    assert len(loaded.manifest.version) == 12


@pytest.mark.parametrize("name", [*artifact.REQUIRED, "manifest.json"])
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: missing"):
        artifact.load(model)


@pytest.mark.parametrize("name", artifact.REQUIRED)
def test_a_single_changed_byte_is_noticed_and_the_file_named(model: Path, name: str) -> None:
    data = bytearray((model / name).read_bytes())
    data[len(data) // 2] ^= 1
    (model / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"{name}: changed since the model was made"):
        artifact.load(model)


def test_a_file_whose_hash_was_entered_by_hand_is_noticed_by_the_version(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"other")
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["files"]["model.safetensors"] = artifact.sha256(model / "model.safetensors")
    (model / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"manifest\.json: version [0-9a-f]{12} is not that of its content"):
        artifact.load(model)


@pytest.mark.parametrize(
    ("key", "value"), [("recipe", {"max_tokens": 32, "overlap": 8, "max_chars": 400}), ("encoder", "x")]
)
def test_an_edited_manifest_is_noticed_by_the_version(model: Path, key: str, value: object) -> None:
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(ArtifactError, match=r"is not that of its content"):
        artifact.load(model)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", {"id2label": []}),
        ("calibration.json", {"temperature": 0}),
        ("calibration.json", {"temperature": "warm"}),
        ("calibration.json", {"thresholds": "high"}),
        ("golden.json", {"texts": []}),
        ("golden.json", {"texts": [{"text": "补"}]}),
        ("taxonomy.json", {"labels": []}),
        ("taxonomy.json", {"version": "2"}),
    ],
)
def test_a_file_with_impossible_content_is_named_even_under_a_fresh_seal(
    model: Path, name: str, change: dict[str, object]
) -> None:
    (model / name).write_text(json.dumps(json.loads((model / name).read_text(encoding="utf-8")) | change))
    reseal(model, name)
    with pytest.raises(ArtifactError, match=rf"^{re.escape(str(model / name))}: \S"):
        artifact.load(model)


@pytest.mark.parametrize(
    "change",
    [{"files": None}, {"recipe": []}, {"recipe": {"overlap": 600}}, {"recipe": {"max_chars": "many"}}, {"colour": 1}],
)
def test_an_impossible_manifest_is_named(model: Path, change: dict[str, object]) -> None:
    path = model / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=rf"^{re.escape(str(path))}: \S"):
        artifact.load(model)


def test_labels_in_another_order_are_noticed_even_under_a_fresh_seal(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["id2label"]["0"], config["id2label"]["1"] = config["id2label"]["1"], config["id2label"]["0"]
    (model / "config.json").write_text(json.dumps(config))
    reseal(model, "config.json")
    with pytest.raises(ArtifactError, match="id2label is not the taxonomy's labels in its order"):
        artifact.load(model)


def test_thresholds_of_another_taxonomy_are_noticed(model: Path) -> None:
    calibration = json.loads((model / "calibration.json").read_text())
    calibration["thresholds"]["tax"] = calibration["thresholds"].pop("subsidy")
    (model / "calibration.json").write_text(json.dumps(calibration))
    reseal(model, "calibration.json")
    with pytest.raises(ArtifactError, match="thresholds and taxonomy differ in subsidy, tax"):
        artifact.load(model)


def test_a_model_that_answers_otherwise_than_recorded_is_refused(model: Path) -> None:
    golden = json.loads((model / "golden.json").read_text())
    golden["texts"][1]["logits"][0] += 0.1
    (model / "golden.json").write_text(json.dumps(golden))
    reseal(model, "golden.json")
    with pytest.raises(ArtifactError, match=r"golden\.json: text 1 gives logits 0\.1 away"):
        Tagger.load(model)


def test_a_manifest_of_a_later_format_is_refused(model: Path) -> None:
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(ArtifactError, match="format 99; this program reads format 1"):
        artifact.load(model)


def test_the_version_depends_on_the_weights_but_not_on_the_card(model: Path) -> None:
    before, recipe = artifact.load(model).manifest.version, artifact.load(model).manifest.recipe
    sealed = {"taxonomy": "1", "encoder": "tiny", "data": {}, "metrics": {}, "versions": {}}
    (model / "README.md").write_text("# Another card\n")
    assert artifact.seal(model, recipe=recipe, **sealed).version == before
    (model / "model.safetensors").write_bytes(b"other")
    assert artifact.seal(model, recipe=recipe, **sealed).version != before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere: no such model folder"):
        artifact.load(tmp_path / "nowhere")
