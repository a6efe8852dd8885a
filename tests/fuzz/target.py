"""What is fuzzed: a function of bytes, and which errors are an answer to them."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Bytes = bytes
Mutate = Callable[[Bytes, int, int], Bytes]
"""Takes the bytes, how long they may become, and a seed."""


@dataclass(frozen=True)
class Target:
    """Call it with bytes: it returns, or raises what is a finding."""

    name: str
    run: Callable[[Bytes], None]
    """Reads the bytes and looks whether what was read is what it should be (`assert`)."""
    seeds: Callable[[], Iterable[Bytes]]
    """What is good, to begin with."""
    refusals: tuple[type[Exception], ...] = ()
    """The documented errors; any other exception is a finding."""
    max_bytes: int = 4096
    words: tuple[Bytes, ...] = ()
    """What a mutation may put in."""
    mutate: Mutate | None = None
    """Where bytes that are changed one by one would seldom get far."""
    memory_bytes: int = 1 << 30
    """What may be used beyond what the process has when it begins."""

    def __call__(self, data: Bytes) -> None:
        with contextlib.suppress(*self.refusals):
            self.run(data)


def json_words(*names: str) -> tuple[Bytes, ...]:
    """Keys of JSON, and values that are easily forgotten."""
    values = (
        *("null", "true", "NaN", "Infinity", "-Infinity", "1e400", "-1", "0", "9" * 30, "0.5", '""', "[]"),
        *("{}", "[[]]", '"\\ud800"', '"\\u0000"'),
    )
    return (*(f'"{name}":'.encode() for name in names), *(value.encode() for value in values))
