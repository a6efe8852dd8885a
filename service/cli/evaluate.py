"""`seqserve evaluate`."""


def evaluate() -> None:
    """Measure a served model."""
