"""A model that was made elsewhere, in a conversation: pieces are as good as the whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle import Bundle
from service.config import EngineSettings, LimitSettings, SchedulerSettings, SessionSettings
from service.engine.onnx import OnnxEngine
from service.errors import InvalidInput
from service.importing import import_model
from service.metrics import Metrics
from service.registry import Served
from service.scheduler import Scheduler
from service.sessions import Session
from service.sessions.packing import pack, unpack
from service.tasks.conversation import Conversation
from service.tasks.intake import Given, NamedArrays, Readings
from service.tasks.said import Said
from tests.fakes.foreign_graphs import FEATURES, write_operator, write_sum

LIMITS = LimitSettings()
X = np.random.default_rng(5).normal(size=(7, FEATURES)).astype(np.float32)


def served_of(path: Path) -> Served:
    bundle = Bundle.read(import_model(path, path.parent / "models", path.stem).path)
    engine = OnnxEngine(bundle, EngineSettings())
    return Served(bundle, engine, Scheduler(engine, SchedulerSettings(), Metrics(), bundle.manifest.name))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    folder = tmp_path_factory.mktemp("foreign")
    all_served = {"lstm": served_of(write_operator(folder, "LSTM")), "sum": served_of(write_sum(folder))}
    yield all_served
    for one in all_served.values():
        one.close()


def session(served: Served) -> Session:
    return Session("a", "", served, 60.0)


async def said(to: Session, given: Given, **parts: Any) -> Said:
    return (await Conversation(to, LIMITS).feed(given, **parts)).said


def array_of(answer: Said) -> np.ndarray[Any, Any]:
    [tensor] = answer.tensors
    return tensor.array


async def test_pieces_of_any_length_are_as_good_as_the_whole(served: dict[str, Served]) -> None:
    whole = array_of(await said(session(served["lstm"]), NamedArrays({"X": X})))
    assert whole.shape == (7, 1, 12)
    for cuts in ((1, 4), (3,), (1, 2, 3, 4, 5, 6)):
        one = session(served["lstm"])
        parts = [array_of(await said(one, NamedArrays({"X": part}))) for part in np.split(X, cuts)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
        assert one.standing.input_position == 7


async def test_readings_are_tensors_where_there_is_one_input(served: dict[str, Served]) -> None:
    as_tensors = array_of(await said(session(served["lstm"]), NamedArrays({"X": X})))
    as_readings = array_of(await said(session(served["lstm"]), Readings(X)))
    assert as_readings.tobytes() == as_tensors.tobytes()


async def test_without_an_axis_of_time_each_reading_is_a_step(served: dict[str, Served]) -> None:
    one = session(served["sum"])
    assert array_of(await said(one, Readings(np.array([[1], [2], [4]], np.float32)))).tolist() == [
        [1],
        [3],
        [7],
    ]
    assert array_of(await said(one, NamedArrays({"numbers": np.array([8])}))).tolist() == [15]
    assert one.standing.input_position == 4


async def test_a_turn_that_comes_again_is_answered_and_not_run(served: dict[str, Served]) -> None:
    one, given = session(served["sum"]), NamedArrays({"numbers": np.array([5])})
    first = await said(one, given, turn=0)
    assert array_of(await said(one, given, turn=0)).tolist() == array_of(first).tolist() == [5]
    assert array_of(await said(one, given, turn=1)).tolist() == [10]


async def test_a_session_goes_on_from_its_snapshot_bit_for_bit(served: dict[str, Served]) -> None:
    whole = array_of(await said(session(served["lstm"]), Readings(X)))
    one = session(served["lstm"])
    await said(one, Readings(X[:4]))
    again = unpack(pack(one, SessionSettings()), served["lstm"], SessionSettings())
    assert array_of(await said(again, Readings(X[4:]))).tobytes() == whole[4:].tobytes()


async def test_a_conversation_can_go_back(served: dict[str, Served]) -> None:
    one = session(served["sum"])
    await said(one, NamedArrays({"numbers": np.array([5])}))
    await said(one, NamedArrays({"numbers": np.array([7])}))
    await Conversation(one, LIMITS).rewind(0)
    assert array_of(await said(one, NamedArrays({"numbers": np.array([1])}))).tolist() == [6]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("text", "cannot be fed text; it reads tensors .or features.: numbers int32"),
        ([4, 5], "cannot be fed token_ids"),
        (NamedArrays({}), "holds no tensors"),
        (NamedArrays({"other": np.array([1])}), "expected the inputs numbers, not other"),
        (NamedArrays({"numbers": np.array([1, 2])}), r"shape \[1, 2\]; expected \[1, 1\]"),
        (NamedArrays({"numbers": np.array([2**40])}), "no int32"),
        (Readings(np.array([[1.5]], np.float32)), "no int32"),
    ],
)
async def test_what_the_graph_does_not_take_is_refused_and_changes_nothing(
    served: dict[str, Served], given: Any, why: str
) -> None:
    one = session(served["sum"])
    await said(one, NamedArrays({"numbers": np.array([5])}))
    with pytest.raises(InvalidInput, match=why):
        await said(one, given)
    assert array_of(await said(one, NamedArrays({"numbers": np.array([1])}))).tolist() == [6]


async def test_the_end_of_the_input_begins_anew(served: dict[str, Served]) -> None:
    one = session(served["sum"])
    await said(one, NamedArrays({"numbers": np.array([5])}), ends=True)
    assert array_of(await said(one, NamedArrays({"numbers": np.array([1])}))).tolist() == [1]
