"""What the training tests share: the project's taxonomy, sixty authored rows, a tiny random BERT, one fitted model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policytag.taxonomy import Taxonomy

SENTENCES = {
    "subsidy": "对符合条件的企业给予一次性补贴。",
    "talent": "引进和培养高层次人才。",
    "platform": "建设公共技术服务平台。",
    "approval_reform": "深化行政审批制度改革。",
    "information_technology": "发展人工智能与软件产业。",
    "agriculture": "扩大粮食种植面积。",
}
"""One label each; a row of the tests joins two of them."""
SETTINGS = """
max_tokens = 64
overlap = 8
epochs = 30
batch_size = 8
learning_rate = 3e-3
dropout = 0.0
threads = 1
resamples = 50
baseline_min_df = 1
"""


def make_rows() -> list[dict[str, Any]]:
    """Sixty rows of ten documents: every pair of sentences twice, and nothing in the rest."""
    labels = list(SENTENCES)
    pairs = [(a, b) for i, a in enumerate(labels) for b in labels[i + 1 :]] * 2
    rows = []
    for number in range(60):
        chosen = pairs[number % len(pairs)] if number % 4 else ()
        rows.append(
            {
                "id": f"t{number}",
                "doc": f"d{number % 10}",
                "text": f"第{number}条" + "".join(SENTENCES[label] for label in chosen) + "本条由有关部门负责解释。",
                "instruments": [label for label in chosen if label in list(SENTENCES)[:4]],
                "industries": [label for label in chosen if label in list(SENTENCES)[4:]],
            }
        )
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def labels_folder(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / "labels"


@pytest.fixture(scope="session")
def taxonomy(labels_folder: Path) -> Taxonomy:
    return Taxonomy.from_yaml(labels_folder / "taxonomy.yaml")


@pytest.fixture
def authored_rows() -> list[dict[str, Any]]:
    return make_rows()


@pytest.fixture(scope="session")
def write_rows() -> Callable[[Path, list[dict[str, Any]]], Path]:
    """Writes rows as JSONL and returns the path."""
    return write


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("rows") / "rows.jsonl", make_rows())


@pytest.fixture(scope="session")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "tiny.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, labels_folder: Path) -> Path:
    """A random BertModel of two layers whose tokenizer knows the characters of the rows and of the corpus."""
    from training.tokenizer import save_tokenizer

    folder = tmp_path_factory.mktemp("encoder")
    texts = [row["text"] for row in make_rows()]
    texts += [file.read_text(encoding="utf-8") for file in sorted((labels_folder / "corpus").glob("*.txt"))]
    tokenizer = character_tokenizer("".join(texts))
    save_tokenizer(tokenizer, folder, 64)
    save_encoder(folder, tokenizer.get_vocab_size())
    return folder


def character_tokenizer(alphabet: str) -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(alphabet) - set(" \n"))]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def save_encoder(folder: Path, vocab_size: int) -> None:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        initializer_range=0.1,  # so that it learns within seconds
        max_position_embeddings=64,
    )
    BertModel(config).half().save_pretrained(folder)


@pytest.fixture(scope="session")
def arguments(rows_file: Path, settings_file: Path, tiny_encoder: Path, labels_folder: Path) -> list[str]:
    """What the verbs that train are given, but for what they write."""
    named = {"annotations": rows_file, "encoder": tiny_encoder, "labels": labels_folder, "config": settings_file}
    return [argument for name, path in named.items() for argument in (f"--{name}", str(path))]


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory, arguments: list[str]) -> Path:
    """A model folder made by the command line; the report lies beside it. Do not change its files."""
    from training.cli import main

    out = tmp_path_factory.mktemp("models") / "tiny"
    report = str(out.with_name("report.json"))
    assert main(["fit", *arguments, "--out", str(out), "--seed", "3", "--report", report]) == 0
    return out
