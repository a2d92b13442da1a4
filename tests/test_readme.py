"""What README.md and CONTRIBUTING.md tell people to run, run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

PAGES = ("README.md", "CONTRIBUTING.md")
MODEL = Path("models/current")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", Path(page).read_text(encoding="utf-8"), re.M | re.S)


def commands(page: str) -> list[str]:
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.strip()]


ALL = [(page, command) for page in PAGES for command in commands(page)]
TAGGING = [command for _, command in ALL if "bin/policytag " in command]
TRAINING = [command for _, command in ALL if "bin/policytag-train " in command]
MEASURING = [command for _, command in ALL if " -m bench." in command]
MAKING = sorted({command for _, command in ALL if command.startswith("make ")})


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command of a page with this environment's programs in the place of the virtual environments'."""
    programs = Path(sys.executable).parent
    command = re.sub(r"\.venv(-dev)?/bin/", f"{programs}/", command)
    return subprocess.run(command, shell=True, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that looks like a fresh clone, for commands that write."""
    for name in ("labels", "models", "policytag", "serving", "training"):
        (tmp_path / name).symlink_to(Path(name).resolve())
    return tmp_path


def test_every_command_of_the_pages_is_run_by_a_test() -> None:
    served = [command for _, command in ALL if command.startswith("curl ")]
    assert sorted(c for _, c in ALL) == sorted(
        [*TAGGING, *TRAINING, *MEASURING, *served, *(c for _, c in ALL if c.startswith("make "))]
    )
    assert TAGGING
    assert TRAINING
    assert served


def test_the_tagging_commands_work(clone: Path) -> None:
    for command in TAGGING:
        done = run(command, clone)
        assert done.returncode == 0, done.stderr
    assert "资金补贴" in (clone / "tags.jsonl").read_text(encoding="utf-8")
    assert (clone / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("command", MAKING)
def test_the_make_targets_exist(command: str) -> None:
    done = subprocess.run([*command.split(), "--dry-run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_curl_and_the_python_code_get_tags_from_a_running_service(
    running_server: Callable[[list[str], dict[str, str]], AbstractContextManager[str]],
) -> None:
    environment = {**os.environ, "POLICYTAG_MODEL": str(MODEL.resolve())}
    with running_server([sys.executable, "-m", "serving.cli", "serve"], environment) as url:
        paragraphs, document = [c.replace("http://127.0.0.1:3000", url) for _, c in ALL if c.startswith("curl ")]
        done = run(paragraphs, Path())
        assert "subsidy" in {tag["id"] for tag in json.loads(done.stdout)["results"][0]["instruments"]}
        done = run(document, Path())
        assert json.loads(done.stdout)["summary"]["industries"]
        [code] = [block for block in blocks("README.md", "python") if "SyncHTTPClient" in block]
        done = python(code.replace("http://127.0.0.1:3000", url))
        assert done.returncode == 0, done.stderr
        assert "资金补贴" in done.stdout


def test_every_error_code_of_the_service_is_on_the_page() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path("serving").glob("*.py"))
    codes = set(re.findall(r"""(?:[1-5]\d\d, |\d: \(|code=|code, message = |INTERNAL = \()"([a-z_]+)\"""", source))
    assert {"invalid_json", "unauthorized", "internal_error", "blank_text", "not_found", "overloaded"} <= codes
    codes -= {"client_closed_request"}  # nobody is left to read it
    assert codes <= set(re.findall(r"`([a-z_]+)`", Path("README.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize("command", MEASURING)
def test_the_measurements_take_what_the_page_gives_them(command: str) -> None:
    """They are run at a small size where they are at home, in tests/serving/test_faults.py."""
    done = run(f"{command} --help", Path())
    assert done.returncode == 0, done.stderr


def test_the_library_code_prints_tags() -> None:
    for block in blocks("README.md", "python"):
        if "SyncHTTPClient" not in block:
            done = python(block)
            assert done.returncode == 0, done.stderr
            assert "['subsidy'" in done.stdout


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_training_commands_work_one_after_the_other(tmp_path: Path) -> None:
    for name in ("labels", "models/current", "models/encoder"):  # copies: promote and rollback change them
        shutil.copytree(name, tmp_path / name)
    for name in ("policytag", "serving", "training"):
        (tmp_path / name).symlink_to(Path(name).resolve())
    for command in TRAINING:
        done = run(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"


@pytest.mark.slow
def test_a_fresh_copy_runs_make_demo(tmp_path: Path) -> None:
    copy = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ".", str(copy)], check=True)
    done = subprocess.run(["make", "demo"], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (copy / "demo" / "tags.jsonl").stat().st_size > 10_000
