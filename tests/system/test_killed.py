"""Of every kind of model a session is open when its server is killed with -9; another server goes on with all of them.

What each says is equal, to the last bit, to what it says when nobody is in its way.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.client import Client, Resumed, Session
from service.importing import import_model
from tests.fakes.foreign_graphs import FEATURES, write_operator
from tests.fakes.ports import free_port
from tests.system.conftest import serving
from tests.training.signals import tone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Story = Callable[[Session], Iterator[Any]]
"""What a session is told, with a pause wherever its server may die; it yields all that is answered."""
PIECES = (
    "play some ja",
    "zz music on the ",
    "radio, ple",
    "ase! And the dog",
    " runs ",
    "in the gar",
    "den. ",
)
READINGS = [[20 + 3 * math.sin(n / 2), math.cos(n)] for n in range(24)]
DRAWN: dict[str, Any] = {"max_length": 12, "temperature": 1.1, "seed": 3}


def reads(session: Session) -> Iterator[Any]:
    for piece in PIECES:
        yield session.feed(piece)
    yield session.feed("", end_of_input=True)


def hears(session: Session) -> Iterator[Any]:
    samples = tone(400, seconds=1.5)
    for start in range(0, len(samples), 1700):
        yield session.feed_pcm(samples[start : start + 1700].astype("<i2").tobytes())
    yield session.end_input()


def measures(session: Session) -> Iterator[Any]:
    for start in range(0, len(READINGS), 5):
        yield session.feed_features(READINGS[start : start + 5])


def steps(session: Session) -> Iterator[Any]:
    for start in range(0, len(READINGS), 5):
        yield session.feed_features([[reading[0]] * FEATURES for reading in READINGS[start : start + 5]])


def converses(session: Session) -> Iterator[Any]:
    for piece in PIECES[:3]:
        yield session.feed(piece)
        stream = session.generate(**DRAWN)
        yield next(stream), next(stream)
        yield list(stream), stream.result


def describes(session: Session) -> Iterator[Any]:
    for vector in ([1.0, 2.0, 3.0], [0.5, 0.0, -1.0]):
        yield session.feed_features([vector])
        stream = session.generate(**DRAWN)
        yield next(stream)
        yield list(stream), stream.result


STORIES: dict[str, Story] = {
    "translate": converses,
    "interpret": reads,
    "classify": reads,
    "tag": reads,
    "compress": reads,
    "generate": converses,
    "chat": converses,
    "transcribe": hears,
    "label": measures,
    "forecast": measures,
    "caption": describes,
    "tensors": steps,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests import bundles as write  # torch takes a moment to import

    folder = tmp_path_factory.mktemp("models")
    write.write_translator(folder, "translate", encoder={"hidden": 24, "bidirectional": False})
    write.write_interpreter(folder, "interpret")
    write.write_classifier(folder, "classify")
    write.write_tagger(folder, "tag")
    write.write_deleter(folder, "compress")
    write.write_language_model(folder, "generate")
    write.write_language_model(folder, "chat", task="chat")
    write.write_hearer(folder, "transcribe")
    write.write_predictor(folder, "label", labels=True)
    write.write_predictor(folder, "forecast")
    write.write_captioner(folder, "caption")
    import_model(write_operator(folder.parent, "LSTM"), folder, "tensors")
    return folder


def opened(client: Client, name: str, **more: Any) -> Session:
    return client.session(model=name, **more | ({"wait_k": 2} if name == "interpret" else {}))


@dataclass
class Told:
    """What each session said, and what its client saw of its server's death."""

    said: dict[str, list[Any]]
    events: list[Any] = field(default_factory=list)


@pytest.fixture(scope="module")
def told(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """By all sessions, whose server was killed when each had been answered three times, some in mid-stream."""
    store = f"sqlite:{tmp_path_factory.mktemp('store') / 'sessions.sqlite'}"
    flags, found = ("--port", str(free_port()), "--store", store), Told({})
    with ExitStack() as clients:
        with serving(models, *flags) as running:
            client = clients.enter_context(Client(running.address, timeout=60, watch=found.events.append))
            stories = {
                name: story(opened(client, name, durability="every step")) for name, story in STORIES.items()
            }
            found.said = {name: [next(story) for _ in range(3)] for name, story in stories.items()}
            running.process.kill()
        with serving(models, *flags):
            for name, story in stories.items():
                found.said[name] += story
    return found


@pytest.fixture(scope="module")
def calm(models: Path) -> Iterator[Client]:
    with serving(models) as running, Client(running.address, timeout=60) as client:
        yield client


@pytest.mark.parametrize("name", STORIES)
def test_a_kill_changes_nothing_of_what_is_said(name: str, told: Told, calm: Client) -> None:
    with opened(calm, name) as session:
        assert told.said[name] == list(STORIES[name](session))


def test_every_session_was_taken_up_once(told: Told) -> None:
    resumed = [event.session_id for event in told.events if isinstance(event, Resumed)]
    assert len(resumed) == len(set(resumed)) == len(STORIES)
