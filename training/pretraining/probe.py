"""The probe: what the frozen encoder's features are worth for the labels. Knows labels; nothing learnt here is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler
from torch import nn

from policytag.taxonomy import Taxonomy
from policytag.text import normalise
from training import annotations
from training.pretraining.config import Inputs, PretrainConfig
from training.pretraining.errors import PretrainError
from training.pretraining.run import Run


class Probe:
    """A cheap look at what the frozen encoder is worth: logistic regression on its features of labelled paragraphs."""

    def __init__(self, inputs: Inputs, settings: PretrainConfig) -> None:
        taxonomy = Taxonomy.from_yaml(inputs.labels / "taxonomy.yaml")
        train, dev = (annotations.read(files, taxonomy) for files in (inputs.probe_train, inputs.probe_dev))
        order = np.random.default_rng(settings.seed).permutation(len(train))[: settings.probe_paragraphs]
        train = [train[i] for i in sorted(order)]
        self._split = len(train)
        self._texts = [row.text for row in train + dev]
        gold = annotations.gold_matrix(train + dev)
        self._gold = gold[:, gold[: self._split].any(axis=0)]
        if not self._gold.shape[1]:
            files = ", ".join(map(str, inputs.probe_train))
            raise PretrainError(f"{files}: no paragraph has a label; expected annotated paragraphs for the probe")

    def score(self, run: Run) -> dict[str, float]:
        """Macro-F1 on the dev paragraphs, over the labels that the train paragraphs have."""
        features = encode_texts(run, self._texts)
        features = StandardScaler().fit(features[: self._split]).transform(features)
        train, dev = features[: self._split], features[self._split :]
        found = np.zeros((len(dev), self._gold.shape[1]), dtype=bool)
        for column, gold in enumerate(self._gold[: self._split].T):
            if gold.all():
                found[:, column] = True
            else:
                learner = LogisticRegression(C=0.05, class_weight="balanced", max_iter=100)
                found[:, column] = learner.fit(train, gold).predict(dev)
        gold = self._gold[self._split :]
        score = f1_score(gold, found, average="macro", zero_division=0)  # type: ignore[arg-type]  # the stub says str
        return {"probe_macro_f1": round(float(score), 5)}


@torch.no_grad()
def encode_texts(run: Run, texts: Sequence[str], size: int = 64) -> np.ndarray:
    """Mean of the token vectors beside the pooler's output. Shape: (texts, 2 * hidden_size) float32."""
    run.model.eval()
    limit, special = run.settings.max_tokens, run.specials
    cut = [normalise(text)[: run.settings.max_paragraph_chars] for text in texts]
    encoded = [e.ids[:limit] for e in run.tokenizer.encode_batch_fast(cut, add_special_tokens=False)]
    order = np.argsort([len(ids) for ids in encoded], kind="stable")
    features = np.zeros((len(texts), 2 * run.model.encoder.config.hidden_size), dtype=np.float32)
    for rows in np.array_split(order, max(1, math.ceil(len(order) / size))):
        sequences = [torch.tensor([special.cls, *encoded[row], special.sep]) for row in rows]
        ids = nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=special.pad)
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        attention = (torch.arange(ids.shape[1]) < lengths[:, None]).long().to(run.accelerator.device)
        with torch.autocast(run.accelerator.device.type, torch.bfloat16, enabled=run.model.bf16):
            output = run.model.encoder(input_ids=ids.to(run.accelerator.device), attention_mask=attention)
        mean = (output.last_hidden_state.float() * attention[:, :, None]).sum(1) / attention.sum(1, keepdim=True)
        features[rows] = torch.cat([mean, output.pooler_output.float()], dim=1).cpu().numpy()
    run.model.train()
    return features
