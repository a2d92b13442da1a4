"""The model folder: what is in it, and the proof that nothing in it changed. Runs no model.

A folder is both a standard Hugging Face ``BertForSequenceClassification`` (``config.json``, ``model.safetensors``,
``tokenizer.json``) and what serving reads: the network as ONNX graphs whose weights lie in ``model.safetensors``
(``model.onnx``, and where its 8-bit form passed the gate ``model.int8.onnx``), ``calibration.json``,
``taxonomy.json``, ``golden.json``, and ``manifest.json`` with the SHA-256 of every other file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from policytag.calibration import Calibration
from policytag.encoding import Recipe
from policytag.errors import ArtifactError, PolicytagError
from policytag.taxonomy import Taxonomy

T = TypeVar("T")

FORMAT = 1
MANIFEST = "manifest.json"
DEFAULT_MODEL = "models/current"
"""The model folder where none is named, from the working directory; a served Bento has it there too."""
GRAPHS = {"fp32": "model.onnx", "int8": "model.int8.onnx"}
"""The network's forms, by the precision of its multiplications. Every folder has the first."""
GOLDEN_KEYS = {"fp32": "logits", "int8": "logits_int8"}
"""Where ``golden.json`` keeps what each form answered."""
REQUIRED = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    GRAPHS["fp32"],
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
    """A text whose logits were recorded when the artifact was made: ``L`` for each form of the network."""

    text: str
    logits: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified model folder."""

    folder: Path
    manifest: Manifest
    taxonomy: Taxonomy
    calibration: Calibration
    golden: tuple[Golden, ...]

    @property
    def graphs(self) -> dict[str, Path]:
        """The network's forms that this folder has, as in `GRAPHS`."""
        return {form: self.folder / name for form, name in GRAPHS.items() if name in self.manifest.files}

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
    manifest = Manifest(FORMAT, "", taxonomy, encoder, data, recipe, metrics, versions, files)
    manifest = replace(manifest, version=version_of(manifest))
    text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def version_of(manifest: Manifest) -> str:
    """The version that a manifest's content gives: all of it but the card, which alone makes no other model."""
    content = asdict(manifest)
    del content["version"]
    content["files"].pop("README.md", None)
    if not manifest.recipe.piece_tokens:
        del content["recipe"]["piece_tokens"]  # as it was before there were pieces
    identity = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def load(folder: Path) -> Artifact:
    """Verifies a model folder and reads all but the weights.

    Raises:
        ArtifactError: Naming the file that is missing, changed, unreadable or at odds with another.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such model folder; expected one made by 'policytag-train fit --out'")
    manifest = _read(folder / MANIFEST, _manifest)
    for name in sorted(set(REQUIRED) | set(manifest.files)):
        path = folder / name
        if name not in manifest.files:
            raise ArtifactError(f"{folder / MANIFEST}: does not list {name}; the folder was not sealed")
        if not path.is_file():
            raise ArtifactError(f"{path}: missing; restore the folder from version control or make it anew")
        if sha256(path) != manifest.files[name]:
            raise ArtifactError(f"{path}: changed since the model was made (SHA-256 differs); restore the file")
    if manifest.version != version_of(manifest):
        raise ArtifactError(
            f"{folder / MANIFEST}: version {manifest.version} is not that of its content; restore the folder"
        )
    return _cross_check(folder, manifest)


def _manifest(data: Mapping[str, Any]) -> Manifest:
    if data.get("format") != FORMAT:
        raise ArtifactError(f"format {data.get('format')}; this program reads format {FORMAT}")
    return Manifest(**{**data, "recipe": Recipe(**data["recipe"]), "files": dict(data["files"])})


def _cross_check(folder: Path, manifest: Manifest) -> Artifact:
    taxonomy = _read(folder / "taxonomy.json", Taxonomy.from_dict)
    if taxonomy.version != manifest.taxonomy:
        raise ArtifactError(
            f"{folder / 'taxonomy.json'}: version {taxonomy.version}, but the manifest says {manifest.taxonomy}"
        )
    if _read(folder / "config.json", _label_ids) != taxonomy.ids:
        raise ArtifactError(f"{folder / 'config.json'}: id2label is not the taxonomy's labels in its order")
    calibration = _read(folder / "calibration.json", lambda data: Calibration.from_dict(data, taxonomy.ids))
    golden = _read(folder / "golden.json", _golden)
    model = Artifact(folder, manifest, taxonomy, calibration, golden)
    if not golden or any(len(g.logits.get(form, ())) != len(taxonomy) for g in golden for form in model.graphs):
        raise ArtifactError(
            f"{folder / 'golden.json'}: expected at least one text with {len(taxonomy)} logits each for "
            f"{' and '.join(model.graphs)}"
        )
    return model


def _label_ids(config: Mapping[str, Any]) -> tuple[str, ...]:
    labels = config["id2label"]
    return tuple(labels[str(column)] for column in range(len(labels)))


def _golden(data: Mapping[str, Any]) -> tuple[Golden, ...]:
    return tuple(
        Golden(entry["text"], {f: tuple(map(float, entry[key])) for f, key in GOLDEN_KEYS.items() if key in entry})
        for entry in data["texts"]
    )


def _read(path: Path, build: Callable[[dict[str, Any]], T]) -> T:
    """What ``build`` makes of the object in a JSON file; whatever is wrong with it names the file."""
    data = read_json(path)
    try:
        return build(data)
    except PolicytagError as error:
        raise ArtifactError(f"{path}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not as format {FORMAT} has it ({error!r}); restore the file") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model folder.

    Raises:
        ArtifactError: If the file is missing or holds something else.
    """
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
