"""The error of pretraining. Knows nothing of what is pretrained."""

from __future__ import annotations

from policytag.errors import PolicytagError


class PretrainError(PolicytagError):
    """Something the user can mend: says where, what came, what was expected."""
