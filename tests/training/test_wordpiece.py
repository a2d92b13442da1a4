"""An encoder as ``hfl/chinese-roberta-wwm-ext`` is published: BertForMaskedLM, WordPiece, one character a piece."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForMaskedLM

from policytag.taxonomy import Taxonomy
from training import config, finetune

TEXTS = ["对AI企业给予补贴2023", "引进人才。", "建设平台,发展nlp。"]
SPECIAL = ["[PAD]", *(f"[unused{i}]" for i in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
"""The order of Google's and hfl's vocabularies: [UNK] is 100, [CLS] 101."""


@pytest.fixture(params=["tokenizer.json", "vocab.txt"])
def hub_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The files that the hub has, without and with the ``tokenizer.json`` of newer uploads."""
    folder = tmp_path / "chinese-roberta-wwm-ext"
    pieces = [
        *SPECIAL,
        *sorted(set("".join(TEXTS).lower())),
        "##2",
        "##0",
        "##3",
        "##i",
        "##l",
        "##p",
        "ai",
        "nl",
        "20",
    ]
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=len(pieces), hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
            max_position_embeddings=512, type_vocab_size=2,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    settings = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    if request.param == "tokenizer.json":
        tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True, handle_chinese_chars=True)
        tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_it_is_fine_tuned_with_its_own_pieces(hub_folder: Path, taxonomy: Taxonomy, tmp_path: Path):
    settings = config.load(None, epochs=1, batch_size=4, threads=1, precision="fp32")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    start = finetune.prepare(str(hub_folder), taxonomy, settings, scratch)
    [encoded] = start.encoder.encode([TEXTS[0]])
    tokens = encoded.windows[0]
    assert (start.encoder.cls_id, start.encoder.unk_id, tokens[0]) == (101, 100, 101)
    assert start.encoder.unk_id not in tokens
    before = start.model.classifier.weight.detach().clone()
    finetune.train(start, TEXTS, np.ones((3, len(taxonomy)), dtype=np.float32), settings)
    assert not torch.equal(start.model.classifier.weight, before)
    assert np.isfinite(finetune.predict(start, TEXTS)).all()
