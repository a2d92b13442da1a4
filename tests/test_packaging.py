"""What is shipped: the Bento's packages are the project's, and a built Bento answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
BENTOFILE = ROOT / "bentofile.yaml"


def test_the_bento_installs_exactly_the_projects_dependencies() -> None:
    """BentoML does not read pyproject.toml beside a bentofile.yaml, so the list stands twice."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bento = yaml.safe_load(BENTOFILE.read_text(encoding="utf-8"))
    assert bento["python"]["packages"] == project["dependencies"]


def test_the_runtime_carries_no_training_library() -> None:
    packages = yaml.safe_load(BENTOFILE.read_text(encoding="utf-8"))["python"]["packages"]
    assert not [package for package in packages if package.startswith(("torch", "transformers", "datasets", "scikit"))]


@pytest.mark.slow
def test_a_built_bento_holds_the_model_and_answers(
    tiny_model: Path, tmp_path: Path, running_server: Callable[[list[str], dict[str, str]], AbstractContextManager[str]]
) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    for package in ("policytag", "serving"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(tiny_model, source / "models" / "current")
    bento = yaml.safe_load(BENTOFILE.read_text(encoding="utf-8"))
    bento["python"]["lock_packages"] = False  # locking asks a package index
    (source / "bentofile.yaml").write_text(yaml.safe_dump(bento), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "POLICYTAG_MODEL"}
    environment |= {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    bentoml = [sys.executable, "-m", "bentoml"]
    subprocess.run([*bentoml, "build"], cwd=source, env=environment, check=True, capture_output=True)
    [built] = [path for path in (home / "bentos" / "policytag").iterdir() if path.is_dir()]
    assert (built / "src" / "models" / "current" / "model.onnx").is_file()
    assert (built / "src" / "serving" / "templates" / "report.html.j2").is_file()

    with running_server([*bentoml, "serve", str(built)], environment) as url:
        answer = httpx.post(f"{url}/v1/tag", json={"paragraphs": [{"id": "a", "text": "补贴"}]})
    assert answer.json()["results"][0]["instruments"][0]["id"] == "subsidy"
