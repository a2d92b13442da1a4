"""Switching models: what is current, what is kept, and that a kill at any step leaves the old model or the new one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from policytag import artifact
from policytag.errors import ArtifactError, InputError
from training import exchange, versions
from training.cli import main
from training.files import locked
from training.versions import PROMOTE, Versions, entry_now


@pytest.fixture
def other_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with another threshold, and so another version."""
    return with_temperature(tiny_model, tmp_path / "other", 2.0)


def with_temperature(model: Path, folder: Path, temperature: float) -> Path:
    shutil.copytree(model, folder)
    calibration = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    (folder / "calibration.json").write_text(json.dumps(calibration | {"temperature": temperature}), encoding="utf-8")
    recipe = artifact.load(model).manifest.recipe
    artifact.seal(folder, taxonomy="1", encoder="tiny", data={}, recipe=recipe, metrics={}, versions={})
    return folder


@pytest.fixture
def store(tiny_model: Path, tmp_path: Path) -> Versions:
    """A store whose current model is the tiny one."""
    shutil.copytree(tiny_model, tmp_path / "models" / "current")
    return Versions(tmp_path / "models")


def version(model: Path) -> str:
    return artifact.load(model).manifest.version


def switch(store: Versions, model: Path, reason: str = "better") -> None:
    with store.changing():
        store.switch(model, entry_now(PROMOTE, version(model), store.current_version(), reason))


def test_a_switch_makes_a_copy_current_and_keeps_both_models(store: Versions, other_model: Path):
    before = store.current_version()
    switch(store, other_model)
    assert version(store.current) == version(other_model) != before
    assert not store.current.is_symlink()
    assert store.kept_versions() == sorted([before, version(other_model)])
    [entry] = store.history()
    assert (entry.action, entry.version, entry.previous, entry.reason) == (
        "promote", version(other_model), before, "better",
    )  # fmt: skip
    assert {path.name for path in store.folder.iterdir()} == {"current", "versions", "history.jsonl", ".lock"}


def test_the_first_model_of_a_store_needs_no_current_one(tiny_model: Path, tmp_path: Path):
    (tmp_path / "models").mkdir()
    store = Versions(tmp_path / "models")
    assert store.current_version() == ""
    switch(store, tiny_model)
    assert version(store.current) == version(tiny_model)
    assert store.history()[0].previous == ""


def test_a_rollback_returns_to_the_model_before_and_can_be_rolled_back(store: Versions, other_model: Path):
    first = store.current_version()
    switch(store, other_model)
    assert versions.rollback(store, None, "it was worse").version == first
    assert version(store.current) == first
    assert versions.rollback(store, None, "no, it was not").version == version(other_model)
    assert [entry.action for entry in store.history()] == ["promote", "rollback", "rollback"]


def test_a_rollback_can_name_its_version(store: Versions, other_model: Path, tiny_model: Path, tmp_path: Path):
    first = store.current_version()
    switch(store, other_model)
    switch(store, with_temperature(tiny_model, tmp_path / "third", 3.0))
    versions.rollback(store, first, "back to the start")
    assert version(store.current) == first


@pytest.mark.parametrize(("to", "message"), [(None, "no version came before"), ("abc", "'abc' is not kept")])
def test_a_rollback_to_nothing_says_what_is_there(store: Versions, to: str | None, message: str):
    with pytest.raises(InputError, match=message):
        versions.rollback(store, to, "why not")


def test_a_kept_model_that_was_changed_does_not_come_back(store: Versions, other_model: Path):
    first = store.current_version()
    switch(store, other_model)
    (store.kept / first / "model.onnx").write_bytes(b"rotten")
    with pytest.raises(ArtifactError, match=r"model\.onnx: changed"):
        versions.rollback(store, None, "back")
    assert version(store.current) == version(other_model)
    assert len(store.history()) == 1


def test_a_damaged_model_changes_nothing(store: Versions, other_model: Path):
    (other_model / "model.onnx").write_bytes(b"rotten")
    with store.changing(), pytest.raises(ArtifactError, match="changed since"):
        store.switch(other_model, entry_now(PROMOTE, "v", store.current_version(), "x"))
    assert store.history() == []


def test_a_reason_is_needed(store: Versions, other_model: Path):
    with pytest.raises(InputError, match="--reason: is blank"):
        switch(store, other_model, " ")


def test_the_current_version_is_not_made_current_again(store: Versions, tiny_model: Path):
    with pytest.raises(InputError, match=r"is version .* already"):
        switch(store, tiny_model)


def test_two_changes_at_once_are_refused(store: Versions, other_model: Path):
    with locked(store.folder / ".lock"), pytest.raises(InputError, match="another run works here"):
        switch(store, other_model)


def test_without_an_atomic_exchange_two_renames_do_it(
    store: Versions, other_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange, "_atomic", lambda one, other: False)
    switch(store, other_model)
    assert version(store.current) == version(other_model)


def test_an_error_of_the_file_system_is_no_reason_for_two_renames(tmp_path: Path):
    (tmp_path / "here").mkdir()
    with pytest.raises(FileNotFoundError):
        exchange.exchange(tmp_path / "absent", tmp_path / "here", tmp_path / "old")
    assert (tmp_path / "here").is_dir()


def test_the_listing_marks_the_current_model_and_gives_the_reason(
    store: Versions, other_model: Path, capsys: pytest.CaptureFixture[str]
):
    switch(store, other_model, "new labels")
    capsys.readouterr()
    assert main(["list", "--models", str(store.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    marked = [line for line in lines if line.startswith("*")]
    assert len(marked) == 1
    assert version(other_model) in marked[0]
    assert "new labels" in marked[0]
    assert main(["list", "--models", str(store.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["current"] == version(other_model)


# ------------------------------------------------------------------------------------------------------------ kills


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Does ``work`` in a forked process that is killed before its ``step``-th touch of the file system.

    Returns:
        Whether it was killed; False if it ended before that step.
    """
    pid = os.fork()
    if pid == 0:
        seen = 0

        def hook(event: str, _: object) -> None:
            nonlocal seen
            if event == "open" or event.startswith(("os.", "shutil.", "ctypes.", "fcntl.")):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 11])
@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_kill_before_any_touch_of_the_file_system_leaves_the_old_model_or_the_new(
    store: Versions, other_model: Path, monkeypatch: pytest.MonkeyPatch, action: str, atomic: bool, stride: int
):
    if not atomic:
        monkeypatch.setattr(exchange, "_atomic", lambda one, other: False)
    first = store.current_version()
    switch(store, other_model)
    if action == "promote":
        versions.rollback(store, None, "start")
    start, goal = store.current_version(), (first if action == "rollback" else version(other_model))
    step, ends = 1 - stride, set()
    while True:
        step += stride
        killed = killed_at(
            step,
            lambda: versions.rollback(store, None, "kill") if action == "rollback" else switch(store, other_model),
        )
        if not atomic:
            with store.changing():  # what the next operation, of whatever kind, does first
                pass
        ends.add(store.current_version())
        artifact.load(store.current)  # whole, whichever it is
        with store.changing():
            pass
        assert {path.name for path in store.folder.iterdir()} <= {"current", "versions", "history.jsonl", ".lock"}
        assert all(version(store.kept / name) == name for name in store.kept_versions())
        assert store.history()[-1].version == store.current_version()
        if not killed:
            break
        if store.current_version() != start:
            versions.rollback(store, start, "once more")
    assert step > 20
    assert ends == {start, goal}
