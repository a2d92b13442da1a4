"""A JSON file that is one array of objects, read with errors that name it."""

from __future__ import annotations

import json
from pathlib import Path

from policytag.errors import InputError
from training.jsonl import Row


def load_array(path: Path) -> list[Row]:
    """The objects of a file.

    Raises:
        InputError: If it cannot be read, is no JSON, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a JSON file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); expected an array of objects") from None
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise InputError(f"{path}: holds {type(content).__name__}; expected an array of objects")
    return content
