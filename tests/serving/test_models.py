"""A promoted model takes the place of the current one; one that is broken does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from policytag import artifact
from policytag.errors import ArtifactError
from serving import models
from serving.models import Models


def variant(source: Path, folder: Path, metric: float) -> str:
    """A copy of a model folder that is another version; returns which."""
    shutil.copytree(source, folder)
    manifest = artifact.load(folder).manifest
    sealed = artifact.seal(
        folder,
        taxonomy=manifest.taxonomy,
        encoder=manifest.encoder,
        data={},
        recipe=manifest.recipe,
        metrics={"all_macro_f1": metric},
        versions={},
    )
    return sealed.version


@pytest.fixture
def served(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Models]:
    """The model in ``tmp_path / current``; looked after by the test, not by the clock."""
    monkeypatch.setattr(models, "POLL_SECONDS", 3600)
    variant(tiny_model, tmp_path / "current", 0.1)
    served = Models(tmp_path / "current", threads=1)
    yield served
    served.close()


def replace(current: Path, other: Path) -> None:
    current.rename(current.with_name("old"))
    other.rename(current)


def test_another_folder_in_its_place_is_loaded_once(served: Models, tiny_model: Path, tmp_path: Path) -> None:
    assert not served.refresh()
    before = served.current
    version = variant(tiny_model, tmp_path / "next", 0.2)
    replace(tmp_path / "current", tmp_path / "next")
    assert served.refresh()
    assert served.current.version == version != before.version
    assert not served.refresh()
    assert served.current.artifact.folder == tmp_path / "current"


def test_a_broken_folder_changes_nothing_and_a_mended_one_is_taken(
    served: Models, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = served.current
    version = variant(tiny_model, tmp_path / "next", 0.2)
    onnx = (tmp_path / "next" / "model.onnx").read_bytes()
    (tmp_path / "next" / "model.onnx").write_bytes(onnx[:-1])
    replace(tmp_path / "current", tmp_path / "next")
    assert not served.refresh()
    assert served.current is before
    assert f"{tmp_path / 'current' / 'model.onnx'}: changed since the model was made" in caplog.text
    (tmp_path / "current" / "model.onnx").write_bytes(onnx)
    assert not served.refresh()  # left alone for a while
    monkeypatch.setattr(served, "_retry", 0.0)  # it is later
    assert served.refresh()
    assert served.current.version == version


def test_a_missing_or_unreadable_folder_changes_nothing(served: Models, tmp_path: Path) -> None:
    (tmp_path / "current").rename(tmp_path / "away")
    assert not served.refresh()
    (tmp_path / "current").mkdir()
    (tmp_path / "current" / "manifest.json").write_text(json.dumps(["no manifest"]))
    assert not served.refresh()
    assert served.current.version


def test_a_folder_that_cannot_be_loaded_at_the_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"{tmp_path / 'none'}: no such model folder"):
        Models(tmp_path / "none", threads=1)
