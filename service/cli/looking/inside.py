"""What goes on inside a model while it reads and writes a text, as matrices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.bundle.tokenizer import EOS, Tokenizer
from service.cli.looking.matrix import Matrix
from service.cli.stop import USAGE, Stop
from service.config import LimitSettings
from service.errors import SeqserveError
from service.registry import Served
from service.sessions import NOTHING_READ
from service.tasks.decoding import DecodingOptions
from service.tasks.jobs import run
from service.tasks.kinds import kind_of
from service.tasks.look import Look, names_of
from service.tasks.said import Trace
from service.tasks.translate import translate

GATES = {
    "i": "input gate",
    "f": "forget gate",
    "g": "candidate",
    "o": "output gate",
    "c": "cell",
    "h": "output",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
}
"""What the letters of a trace stand for."""
SIGNED = set("gchn")
TELLING = set("fzc")
END = "⏎"
"""Stands for the end of the sentence."""


async def traces(served: Served, text: str, names: Sequence[str], units: Sequence[int]) -> list[Matrix]:
    """One matrix for each trace: units by tokens."""
    kind = kind_of(served, LimitSettings())
    tokenizer, reader = served.bundle.tokenizer, kind.reader
    tokens = _tokens(served, text)
    look = Look.of(served.manifest, reader.graph, names or _telling(served, reader.graph), units)
    read = await run(served.scheduler, reader.read(np.array(tokens, np.int64), NOTHING_READ, look))
    columns = [_name(tokenizer, token) for token in tokens]
    return [_matrix(trace, columns) for trace in look.traces(read.outputs)]


async def attention(served: Served, text: str) -> Matrix:
    """Tokens written by tokens read: where each one was looked for."""
    tokenizer, tokens = served.bundle.tokenizer, _tokens(served, text)
    options = DecodingOptions.of(served.manifest, beam_size=1, return_attention=True)
    [translation] = await translate(served, [tokens[:-1]], options)
    written = translation.hypotheses[0].tokens
    values = np.array([token.attention for token in written], np.float32).reshape(len(written), -1)
    columns = [_name(tokenizer, token) for token in tokens]
    rows = [_visible(token.piece) or END for token in written]
    return Matrix("attention: where each token of the output looked", values, rows, columns)


def attends(served: Served) -> bool:
    """Whether it writes with attention."""
    step = served.manifest.graphs.get("step")
    return step is not None and any(tensor.name == "attention" for tensor in step.outputs)


def told(error: SeqserveError) -> Stop:
    """What was asked for and is not there, for people."""
    return Stop(str(error), USAGE)


def as_json(matrix: Matrix) -> dict[str, Any]:
    """All of it, for machines."""
    return {
        "title": matrix.title,
        "rows": list(matrix.rows),
        "columns": list(matrix.columns),
        "values": [[round(float(value), 6) for value in row] for row in matrix.values],
    }


def _telling(served: Served, graph: str) -> list[str]:
    """What is worth a first look: what is kept and what is forgotten; all there is where that is not known."""
    names = names_of(served.manifest.graphs[graph])
    return [name for name in names if _letter(name) in TELLING] or list(names)


def _letter(name: str) -> str:
    """Of `encoder_f_0` the f."""
    return name.split("_")[1] if name.count("_") >= 2 else name


def _tokens(served: Served, text: str) -> list[int]:
    """As the model reads them: a text that is written from ends with its end."""
    tokens = served.bundle.tokenizer.encode(text)
    return [*tokens, EOS] if "encode" in served.manifest.graphs else tokens


def _matrix(trace: Trace, columns: Sequence[str]) -> Matrix:
    letter = _letter(trace.name)
    what = GATES.get(letter, "")
    title = f"{trace.name}: {what} of {len(trace.units)} units" if what else trace.name
    return Matrix(title, trace.values.T, [str(unit) for unit in trace.units], columns, letter in SIGNED)


def _name(tokenizer: Tokenizer, token: int) -> str:
    return END if token == EOS else _visible(tokenizer.piece(token)) or "?"


def _visible(piece: str) -> str:
    """A piece without the space before it; white space alone is made to be seen."""
    return piece.strip() or piece.replace("\n", "↵").replace(" ", "␣")
