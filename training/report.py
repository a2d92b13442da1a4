"""Reports for people: the table on stdout. Knows the layout of ``metrics.json``, not how its figures are made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GROUP_NAMES = {
    "all": "all labels",
    "instrument": "instruments",
    "industry": "industries",
    "core_instruments": "four core instruments",
}


def render(report: Mapping[str, Any]) -> str:
    """The figures of a fit as plain text."""
    sets = report["data"]
    counts = ", ".join(
        f"{sets[name]['paragraphs']} paragraphs of {sets[name]['documents']} documents to {verb}"
        for name, verb in (("train", "learn from"), ("calibration", "calibrate on"), ("evaluation", "measure on"))
    )
    lines = [counts, _source(report), "", *group_table(report), "", *label_table(report["model"]["labels"])]
    errors = ", ".join(f"{GROUP_NAMES[facet]} {value:.3f}" for facet, value in report["calibration_error"].items())
    lines += ["", f"temperature {report['temperature']:.3f}; expected calibration error: {errors}"]
    if "parity" in report:
        lines.append(f"torch and ONNX Runtime: largest logit difference {report['parity']:.1e}")
    return "\n".join(lines) + "\n"


def _source(report: Mapping[str, Any]) -> str:
    where = report["evaluated_on"]
    if where == report["calibrated_on"]:
        return f"measured on the {where} set, on which the thresholds were fitted too: figures flatter a little"
    return f"measured on the {where} set; temperature and thresholds fitted on the {report['calibrated_on']} set"


def group_table(report: Mapping[str, Any]) -> list[str]:
    """Figures by group, the baseline and the difference beside the model's."""
    lines = [f"{'':<24}{'macro-F1 (95 % interval)':<28}{'micro-F1':<10}{'mAP':<8}{'baseline':<10}difference (interval)"]
    for name, figures in report["model"]["groups"].items():
        line = f"{GROUP_NAMES[name]:<24}{with_interval(figures, 'macro_f1'):<28}"
        line += f"{figures['micro_f1']:<10.3f}{figures['mean_average_precision']:<8.3f}"
        if "baseline" in report:
            line += f"{report['baseline']['groups'][name]['macro_f1']:<10.3f}"
            line += with_interval(report["difference"][name], "macro_f1", sign="+")
        lines.append(line.rstrip())
    return lines


def label_table(labels: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Precision, recall, F1 and support by label."""
    lines = [f"{'label':<26}{'precision':>10}{'recall':>8}{'F1':>8}{'support':>9}{'predicted':>11}"]
    lines += [
        f"{label:<26}{f['precision']:>10.3f}{f['recall']:>8.3f}{f['f1']:>8.3f}{f['support']:>9}{f['predicted']:>11}"
        for label, f in labels.items()
    ]
    return lines


def with_interval(figures: Mapping[str, Any], key: str, sign: str = "") -> str:
    """``0.812 (0.790 to 0.835)``; with ``sign`` "+" also positive figures carry theirs."""
    low, high = figures[f"{key}_ci"]
    return f"{figures[key]:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def write(report: Mapping[str, Any], path: Path) -> None:
    """Writes a report as JSON, its folder made where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
