"""What is shipped: the Bento's packages are the project's, and a built Bento answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

from serving.settings import DEADLINE_SECONDS

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


def test_no_installed_package_is_older_than_the_fix_of_a_known_advisory() -> None:
    lines = (ROOT / ".ci" / "floors.txt").read_text(encoding="utf-8").splitlines()
    floors = [Requirement(text) for line in lines if (text := line.partition("#")[0].strip())]
    installed = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}
    present = [floor for floor in floors if floor.name in installed]
    assert {"bentoml", "starlette", "h11"} <= {floor.name for floor in present}
    assert not [f"{f} ({installed[f.name]})" for f in present if not f.specifier.contains(installed[f.name])]


def test_the_container_has_no_training_library_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert installs == ["RUN /opt/policytag/bin/pip install --no-cache-dir '.[postgresql]'"]
    assert "USER policytag" in lines
    assert not [line for line in lines if "BENTOML_CONTAINERIZED=" in line]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]}
    assert ignored[0] == "*"
    assert copied <= {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert all((ROOT / path).exists() for path in copied)


def test_the_examples_of_deployment_are_what_the_service_reads() -> None:
    settings = (ROOT / "serving" / "settings.py").read_text(encoding="utf-8")
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    objects = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")))
    [deployment] = [found for found in objects if found["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    names = {entry["name"] for entry in container["env"]} | set(compose["services"]["policytag"]["environment"])
    assert all(f"``{name}``" in settings for name in names)
    assert pod["terminationGracePeriodSeconds"] > DEADLINE_SECONDS + 5
    assert int(compose["services"]["policytag"]["stop_grace_period"].removesuffix("s")) > DEADLINE_SECONDS
    assert {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")} == {
        "/readyz",
        "/livez",
    }


@pytest.mark.slow
def test_a_built_bento_holds_the_model_and_answers(
    tiny_model: Path,
    tmp_path: Path,
    running_server: Callable[[list[str], dict[str, str]], AbstractContextManager[str]],
    monkeypatch: pytest.MonkeyPatch,
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
    for file in ("templates/report.html.j2", "web/index.html", "web/samples/004_f2349a8e578e908b.txt"):
        assert (built / "src" / "serving" / file).is_file()

    monkeypatch.chdir(tmp_path)  # where there is no models/current
    with running_server([*bentoml, "serve", str(built)], environment) as url:
        answer = httpx.post(f"{url}/v1/tag", json={"paragraphs": [{"id": "a", "text": "补贴"}]})
    assert answer.json()["results"][0]["instruments"][0]["id"] == "subsidy"
