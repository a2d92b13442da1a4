"""The errors a user can mend. Every message says where, what came, what was expected and how to mend it."""


class PolicytagError(ValueError):
    """A mistake in what the user gave; its text is fit to be shown as one line."""


class InputError(PolicytagError):
    """A file, row or text that cannot be read or tagged."""


class TaxonomyError(PolicytagError):
    """A taxonomy that contradicts itself, or a label that is not in it."""


class ArtifactError(PolicytagError):
    """A model folder with a missing, changed or mismatched file."""
