"""Files of annotation tools: each format is a module with ``read`` and ``write``. Knows neither models nor splits."""

from __future__ import annotations

from training.formats import argilla, doccano, label_studio, table

FORMATS = {"label-studio": label_studio, "doccano": doccano, "argilla": argilla, "csv": table}
"""Name on the command line -> its module."""
