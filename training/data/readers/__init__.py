"""Examples from files: a file for each kind of example, with a table of the formats that it may come in."""

from training.data.readers.files import DataError
from training.data.readers.labelled import Labelled, read_labelled
from training.data.readers.pairs import Pair, read_pairs

__all__ = ["DataError", "Labelled", "Pair", "read_labelled", "read_pairs"]
