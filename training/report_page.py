"""An evaluation as one HTML file that needs no network. Knows the layout of the figures, not how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from policytag.taxonomy import Taxonomy
from training import charts
from training.report import GROUP_NAMES

MAX_CHARS = 600
"""Characters shown of the text of an error."""


def render(report: Mapping[str, Any], taxonomy: Taxonomy) -> str:
    """The page.

    Args:
        report: From `training.evaluation.evaluate`.
        taxonomy: Gives the labels' names.
    """
    environment = Environment(
        loader=PackageLoader("training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("evaluation.html.j2").render(
        report=report,
        names={label.id: label.name_zh for label in taxonomy.labels},
        groups=GROUP_NAMES,
        charts=charts,
        max_chars=MAX_CHARS,
    )
