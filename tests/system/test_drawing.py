"""A session draws its tokens, its server is killed with -9, another goes on: nobody can tell from what was drawn."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.client import Client, Resumed, Translation
from tests.system.conftest import Running, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LENGTH = 1000
"""Tokens; with their alternatives far more than is on its way at once, so that most kills come in the middle."""
ATTEMPTS = 5
TEXT = "the cat sits on the mat"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.bundles import write_translator  # torch takes a moment to import

    folder = tmp_path_factory.mktemp("models")
    write_translator(folder, encoder={"hidden": 24, "bidirectional": False}, export={"max_length": LENGTH})
    return folder


@contextmanager
def two_servers(models: Path, folder: Path) -> Iterator[tuple[Running, Running]]:
    """On one store."""
    store = "--store", f"sqlite:{folder / 'sessions.sqlite'}"
    with ExitStack() as stack:
        one = stack.enter_context(serving(models, *store))
        yield one, stack.enter_context(serving(models, *store))


ASKED: list[dict[str, Any]] = [
    {"beam_size": 3, "min_length": 200, "max_length": 200},
    {"temperature": 0.9, "seed": 7},
    {"temperature": 1.2, "seed": 3, "no_repeat_ngram_size": 3},
    {"sampling_topk": 20, "sampling_topp": 0.9, "temperature": 1.5, "repetition_penalty": 1.1},
]
"""Nothing drawn, but searched for; drawn from all; under a rule; from the best, without a seed."""


def undisturbed(address: str, drawn: Translation, asked: dict[str, Any]) -> Translation:
    seed = {"seed": drawn.seed} if drawn.seed else {}
    with Client(address, timeout=60) as client, client.session(model="toy-es-en") as session:
        session.feed(TEXT)
        return session.generate(**(asked | seed)).finish()


def test_what_is_drawn_is_the_same_when_the_server_is_killed(models: Path, tmp_path: Path) -> None:
    """Again where all had been sent before the kill, as happens when this process stands still meanwhile."""
    assert any(killed_while_drawing(models, tmp_path / f"{number}") for number in range(ATTEMPTS))


def killed_while_drawing(models: Path, folder: Path) -> bool:
    """Whether the kill came in the middle of any; in any case all is as if there had been none."""
    folder.mkdir()
    events: list[Any] = []
    long = {"min_length": LENGTH, "max_length": LENGTH, "num_alternatives": 16}
    wishes = [long | asked for asked in ASKED]
    with two_servers(models, folder) as (one, other), ExitStack() as stack:
        addresses = f"{one.address},{other.address}"
        client = stack.enter_context(Client(addresses, timeout=60, watch=events.append))
        streams = []
        for asked in wishes:
            session = client.session(model="toy-es-en", durability="every 8 steps")
            stack.callback(session.detach)
            session.feed(TEXT)
            streams.append(session.generate(**asked))
        heard = [[next(stream)] for stream in streams]
        one.process.kill()
        for asked, tokens, stream in zip(wishes, heard, streams, strict=True):
            tokens += list(stream)
            drawn = stream.result
            assert "".join(token.piece for token in tokens) == drawn.text
            assert tuple(tokens) == drawn.tokens
            assert len(drawn.tokens) == asked["max_length"]
            assert undisturbed(other.address, drawn, asked).hypotheses == drawn.hypotheses
    return any(isinstance(event, Resumed) for event in events)
