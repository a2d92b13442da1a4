"""The model folder: what is in it, and the proof that nothing in it changed. Runs no model.

A folder is both a standard Hugging Face ``BertForSequenceClassification`` (``config.json``, ``model.safetensors``,
``tokenizer.json``) and what serving reads: ``model.onnx``, ``calibration.json``, ``taxonomy.json``, ``golden.json``,
and ``manifest.json`` with the SHA-256 of every other file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from policytag.calibration import Calibration
from policytag.encoding import Recipe
from policytag.errors import ArtifactError, TaxonomyError
from policytag.taxonomy import Taxonomy

FORMAT = 1
MANIFEST = "manifest.json"
DEFAULT_MODEL = "models/current"
"""The model folder where none is named, from the working directory; a served Bento has it there too."""
REQUIRED = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "model.onnx",
    "calibration.json",
    "taxonomy.json",
    "golden.json",
    "README.md",
)
"""Files without which a folder is no artifact; more may lie beside them."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model folder says of itself.

    Attributes:
        format: Version of this layout.
        version: The model's version, derived from its files: ``"3f9a0c11d2e4"``.
        taxonomy: The taxonomy's version.
        encoder: Which encoder it was fine-tuned from.
        data: SHA-256 of the training data, by file name.
        recipe: The window recipe.
        metrics: Headline figures on the development set.
        versions: Versions of the libraries that made it.
        files: SHA-256 of every other file of the folder.
    """

    format: int
    version: str
    taxonomy: str
    encoder: str
    data: Mapping[str, str]
    recipe: Recipe
    metrics: Mapping[str, float]
    versions: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Golden:
    """A text whose logits were recorded when the artifact was made: ``logits`` has ``L`` entries."""

    text: str
    logits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified model folder."""

    folder: Path
    manifest: Manifest
    taxonomy: Taxonomy
    calibration: Calibration
    golden: tuple[Golden, ...]

    @property
    def onnx_file(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def tokenizer_file(self) -> Path:
        return self.folder / "tokenizer.json"


def seal(
    folder: Path,
    *,
    taxonomy: str,
    encoder: str,
    data: Mapping[str, str],
    recipe: Recipe,
    metrics: Mapping[str, float],
    versions: Mapping[str, str],
) -> Manifest:
    """Writes ``manifest.json`` over a folder that is otherwise complete. The last step of making an artifact.

    Raises:
        ArtifactError: If a required file is missing.
    """
    missing = [name for name in REQUIRED if not (folder / name).is_file()]
    if missing:
        raise ArtifactError(f"{folder}: cannot seal, {', '.join(missing)} missing")
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST}
    # The card names the version, so it cannot be part of what the version is derived from.
    identity = "".join(f"{name}{digest}" for name, digest in files.items() if name != "README.md")
    version = hashlib.sha256(identity.encode()).hexdigest()[:12]
    manifest = Manifest(FORMAT, version, taxonomy, encoder, data, recipe, metrics, versions, files)
    text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def load(folder: Path) -> Artifact:
    """Verifies a model folder and reads all but the weights.

    Raises:
        ArtifactError: Naming the file that is missing, changed, unreadable or at odds with another.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such model folder; expected one made by 'policytag-train fit --out'")
    manifest = _read_manifest(folder)
    for name in sorted(set(REQUIRED) | set(manifest.files)):
        path = folder / name
        if name not in manifest.files:
            raise ArtifactError(f"{folder / MANIFEST}: does not list {name}; the folder was not sealed")
        if not path.is_file():
            raise ArtifactError(f"{path}: missing; restore the folder from version control or make it anew")
        if sha256(path) != manifest.files[name]:
            raise ArtifactError(f"{path}: changed since the model was made (SHA-256 differs); restore the file")
    return _cross_check(folder, manifest)


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    data = _read_json(path)
    try:
        manifest = Manifest(**{**data, "recipe": Recipe(**data["recipe"])})
    except (TypeError, KeyError) as error:
        raise ArtifactError(f"{path}: not a manifest of format {FORMAT} ({error})") from None
    if manifest.format != FORMAT:
        raise ArtifactError(f"{path}: format {manifest.format}; this program reads format {FORMAT}")
    return manifest


def _cross_check(folder: Path, manifest: Manifest) -> Artifact:
    try:
        taxonomy = Taxonomy.from_yaml(folder / "taxonomy.json")
    except TaxonomyError as error:
        raise ArtifactError(str(error)) from None
    if taxonomy.version != manifest.taxonomy:
        raise ArtifactError(
            f"{folder / 'taxonomy.json'}: version {taxonomy.version}, but the manifest says {manifest.taxonomy}"
        )
    labels = _read_json(folder / "config.json").get("id2label", {})
    if tuple(labels.get(str(i)) for i in range(len(labels))) != taxonomy.ids:
        raise ArtifactError(f"{folder / 'config.json'}: id2label is not the taxonomy's labels in its order")
    calibration = Calibration.from_dict(_read_json(folder / "calibration.json"), taxonomy.ids)
    golden = tuple(Golden(g["text"], tuple(g["logits"])) for g in _read_json(folder / "golden.json")["texts"])
    if not golden or any(len(g.logits) != len(taxonomy) for g in golden):
        raise ArtifactError(f"{folder / 'golden.json'}: expected at least one text with {len(taxonomy)} logits each")
    return Artifact(folder, manifest, taxonomy, calibration, golden)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; expected a folder made by 'policytag-train fit --out'") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: not JSON ({error})") from None
    if not isinstance(data, dict):
        raise ArtifactError(f"{path}: holds {type(data).__name__}; expected an object")
    return data


def sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
