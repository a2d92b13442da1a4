"""The model card: ``metrics.json`` as a page. Every figure on it comes from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policytag.taxonomy import Taxonomy
from training.config import Config
from training.report import GROUP_NAMES, with_interval

_HEAD = """---
license: apache-2.0
language: zh
library_name: transformers
pipeline_tag: text-classification
tags: [bert, multi-label, public-policy, policytag]
---

# policytag model

Tags a paragraph of a Chinese policy document with the policy instruments it uses and the industries it concerns:
a small BERT encoder with one sigmoid output for each of {labels} labels (taxonomy version {taxonomy}). The label set,
each with its definition, is in `taxonomy.json`; this model's version is in `manifest.json`.
"""

_USE = """## Use

With transformers, the probabilities before calibration (0.5 is *not* the threshold this model is used with); what is
read in pieces ("Limits") is to be cut before:

```python
from transformers import pipeline

classify = pipeline("text-classification", model=".", top_k=None, function_to_apply="sigmoid")
classify("对新引进的高层次人才给予安家补贴。")
```

With policytag, which verifies the folder, reads long paragraphs in pieces, and applies temperature and thresholds:

```python
from pathlib import Path

from policytag.tagger import Tagger
from policytag.text import Paragraph

tagger = Tagger.load(Path("."))
[prediction] = tagger.tag([Paragraph("1", "document", 0, "对新引进的高层次人才给予安家补贴。")])
print([score.label_id for score in prediction.scores if score.assigned])
```
"""

_LIMITS = """## Limits

- It was trained on paragraphs of mainland Chinese government documents in simplified characters; on other text its
  tags mean little.
- It judges a paragraph alone: what only the heading above it says is not seen.
- Rare labels have few positives above; their figures can move by ten points with other documents. Read the intervals.
- Boundary cases follow the annotation guideline, not any law or official statistic.
- {windows};
  each label takes its highest score. Beyond {max_chars} characters the rest is not read and the answer says so.

## Licence

Apache-2.0.
"""


def render(report: Mapping[str, Any], taxonomy: Taxonomy, config: Config) -> str:
    """The card of a model.

    Args:
        report: The content of ``metrics.json``.
        taxonomy: Its taxonomy.
        config: The settings it was trained with.
    """
    parts = [
        _HEAD.format(labels=len(taxonomy), taxonomy=taxonomy.version),
        _data(report),
        _recipe(report, config),
        _figures(report),
        _labels(report, taxonomy),
        _USE,
        _LIMITS.format(windows=_windows(config), max_chars=config.max_chars),
    ]
    return "\n".join(parts)


def _windows(config: Config) -> str:
    """How long texts are read, up to the clause on scores."""
    beyond = f"beyond {config.max_tokens} tokens is read in windows that overlap by {config.overlap}"
    if not config.piece_tokens:
        return f"A paragraph {beyond}"
    return (
        f"A paragraph of more than {config.piece_tokens} tokens is read in pieces, as many whole sentences as fit into "
        f"so many:\n  what a sentence means only after another one is not seen. A sentence {beyond}"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, *rows]]
    lines.insert(1, "|---" + "|---:" * (len(head) - 1) + "|")
    return "\n".join(lines) + "\n"


def _data(report: Mapping[str, Any]) -> str:
    names = {"train": "training", "calibration": "calibration", "evaluation": "evaluation"}
    sets = [
        [name, f"{report['data'][key]['paragraphs']:,}", f"{report['data'][key]['documents']:,}"]
        for key, name in names.items()
    ]
    files = "\n".join(f"- `{name}` (SHA-256 `{digest[:16]}…`)" for name, digest in report["data"]["files"].items())
    excluded = report["data"]["excluded_documents"]
    left_out = f"\nLeft out: {', '.join(excluded)}.\n" if excluded else ""
    table = _table(["set", "paragraphs", "documents"], sets)
    return f"## Data\n\n{table}\nDocuments stay whole: none is both learnt from and measured on.\n\n{files}\n{left_out}"


def _recipe(report: Mapping[str, Any], config: Config) -> str:
    if not config.epochs:
        return (
            f"## Training\n\nThe network is that of {report['encoder']}, which had been taught before; here it was "
            "calibrated and measured. All settings: `training.toml`.\n"
        )
    return (
        f"## Training\n\nEncoder: {report['encoder']}. {config.epochs:g} epochs in batches of {config.batch_size}, "
        f"AdamW with peak learning rate {config.learning_rate:g}, {config.warmup_share:.0%} warm-up and linear decay, "
        f"weight decay {config.weight_decay:g}, dropout {config.dropout:g}, {config.keep_start:.0%} of the "
        f"starting weights kept, seed {config.seed}; binary cross-entropy "
        f"with positives weighted sqrt(negatives / positives) between {config.positive_weight_min:g} and "
        f"{config.positive_weight_max:g}. All settings: `training.toml`.\n"
    )


def _figures(report: Mapping[str, Any]) -> str:
    head = ["labels", "macro-F1 (95 % interval)", "micro-F1 (95 % interval)", "mAP"]
    rows = [
        [
            GROUP_NAMES[name],
            with_interval(f, "macro_f1"),
            with_interval(f, "micro_f1"),
            f"{f['mean_average_precision']:.3f}",
        ]
        for name, f in report["model"]["groups"].items()
    ]
    about = ""
    if "baseline" in report:
        about = (
            " The baseline is TF-IDF over character n-grams with a linear SVM for each label, trained on the same "
            "paragraphs."
        )
        head += ["baseline macro-F1", "difference (95 % interval)"]
        for row, (name, figures) in zip(rows, report["baseline"]["groups"].items(), strict=True):
            row += [f"{figures['macro_f1']:.3f}", with_interval(report["difference"][name], "macro_f1", sign="+")]
    errors = ", ".join(f"{GROUP_NAMES[facet]} {value:.3f}" for facet, value in report["calibration_error"].items())
    return (
        f"## Figures\n\n{_origin(report)} Intervals are a bootstrap over documents.{about}\n\n{_table(head, rows)}\n"
        f"Expected calibration error: {errors}. Torch and ONNX Runtime differ by at most "
        f"{report['parity']:.1e} in a logit.{_int8(report)}\n"
    )


def _int8(report: Mapping[str, Any]) -> str:
    if "int8" not in report:
        return ""
    figures = report["int8"]
    return (
        f" In the 8-bit form, which serving prefers, {figures['equal']:.2%} of the decisions on "
        f"{figures['paragraphs']} paragraphs are the same and macro-F1 is {-figures['f1_loss']:+.4f}."
    )


def _origin(report: Mapping[str, Any]) -> str:
    if report["evaluated_on"] == report["calibrated_on"]:
        return (
            f"Measured on the {report['evaluated_on']} set, on which temperature and thresholds were fitted too, "
            "so that the figures flatter a little."
        )
    return (
        f"Measured on the {report['evaluated_on']} set; temperature and thresholds were fitted on the "
        f"{report['calibrated_on']} set."
    )


def _labels(report: Mapping[str, Any], taxonomy: Taxonomy) -> str:
    rows = []
    for label in taxonomy.labels:
        f, threshold = report["model"]["labels"][label.id], report["thresholds"][label.id]
        name = f"{label.name_zh} `{label.id}`"
        figures = [f"{f[key]:.3f}" for key in ("precision", "recall", "f1")]
        rows.append([name, *figures, str(f["support"]), f"{threshold:.2f}"])
    head = ["label", "precision", "recall", "F1", "positives", "threshold"]
    return (
        f"## Labels\n\nThresholds apply to probabilities after division of the logits by the temperature, "
        f"{report['temperature']:.3f}.\n\n{_table(head, rows)}"
    )
