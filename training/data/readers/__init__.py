"""Examples from files: a file for each kind of example, with a table of the formats that it may come in."""

from training.data.readers.documents import read_dialogues, read_text
from training.data.readers.files import DataError
from training.data.readers.held_out import read_both, read_dev
from training.data.readers.labelled import Labelled, read_labelled
from training.data.readers.pairs import Pair, read_pairs
from training.data.readers.sentences import Compressed, read_compressed
from training.data.readers.tagged import Tagged, Words, read_tagged

__all__ = [
    "Compressed",
    "DataError",
    "Labelled",
    "Pair",
    "Tagged",
    "Words",
    "read_both",
    "read_compressed",
    "read_dev",
    "read_dialogues",
    "read_labelled",
    "read_pairs",
    "read_tagged",
    "read_text",
]
