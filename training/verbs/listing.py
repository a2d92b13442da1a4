"""``policytag-train list``: versions and history, for people or as JSON."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    common.add_models(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    from policytag import artifact
    from training.versions import Versions

    versions = Versions(args.models)
    current, history = versions.current_version(), versions.history()
    places = {version: versions.kept / version for version in versions.kept_versions()}
    if current:
        places[current] = versions.current
    kept = {version: artifact.load(place).manifest for version, place in places.items()}
    if args.json:
        metrics = {version: dict(manifest.metrics) for version, manifest in kept.items()}
        print(json.dumps({"current": current, "versions": metrics, "history": [asdict(e) for e in history]}, indent=1))
        return 0
    print(f"{'version':<16}{'taxonomy':<10}{'macro-F1':<10}{'became current':<22}reason")
    for version, manifest in kept.items():
        last = next((entry for entry in reversed(history) if entry.version == version), None)
        figure = f"{manifest.metrics['all_macro_f1']:.3f}" if "all_macro_f1" in manifest.metrics else "-"
        mark = "*" if version == current else " "
        when, why = (last.at[:19], last.reason) if last else ("-", "-")
        print(f"{mark} {version:<14}{manifest.taxonomy:<10}{figure:<10}{when:<22}{why}")
    return 0
