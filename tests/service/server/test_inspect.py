"""A look inside over the wire, on real graphs."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from service.client import AsyncClient, InvalidRequest, NotPossible, Trace
from service.config import EngineSettings, Settings
from service.engine.onnx import OnnxEngine
from service.server import Server
from tests.bundles import write_classifier

UNITS = (0, 3, 7)
TEXT = "play some jazz music on the radio "


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    write_classifier(tmp_path, "intents", export={"traces": True})
    write_classifier(tmp_path, "plain")
    flags = {"server": {"port": 0}, "models": {"repository": str(tmp_path)}, "metrics": {"port": None}}
    settings = Settings.load(None, flags)
    server = Server(settings, lambda bundle: OnnxEngine(bundle, EngineSettings(threads=1)))
    await server.start()
    try:
        async with AsyncClient(server.address) as client:
            yield client
    finally:
        await server.drain()


async def seen(
    client: AsyncClient, pieces: list[str]
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Each trace of a text that comes in pieces."""
    parts: dict[str, list[tuple[float, ...]]] = {}
    async with client.session(model="intents", inspect=[], inspect_units=UNITS) as session:
        for piece in pieces:
            output = await session.feed(piece)
            for trace in output.traces:
                assert trace.units == UNITS
                parts.setdefault(trace.name, []).extend(trace.values)
    return {name: np.array(rows) for name, rows in parts.items()}


async def test_a_session_tells_of_its_gates_and_how_the_text_was_cut_makes_no_difference(
    client: AsyncClient,
) -> None:
    whole = await seen(client, [TEXT])
    assert set(whole) == {f"encoder_{letter}_0" for letter in "ifgoch"}
    assert all(values.shape[1] == len(UNITS) and len(values) > 6 for values in whole.values())
    assert all(0 <= value <= 1 for letter in "ifo" for value in whole[f"encoder_{letter}_0"].ravel())
    pieces = await seen(client, [TEXT[:7], TEXT[7:8], TEXT[8:25], TEXT[25:]])
    for name, values in whole.items():
        assert np.array_equal(values, pieces[name]), name


async def test_looking_changes_no_answer_and_outlives_its_stream(client: AsyncClient) -> None:
    async with client.session(model="intents") as session:
        plain = await session.feed(TEXT)
    looking = client.session(model="intents", inspect=["encoder_f_0"])
    await looking.feed(TEXT[:11])
    looking.detach()
    async with client.resume(looking.session_id) as session:
        output = await session.feed(TEXT[11:])
        assert output.labels == plain.labels
        [trace] = output.traces
        assert isinstance(trace, Trace)
        assert (trace.name, len(trace.units)) == ("encoder_f_0", 16)


async def test_what_is_not_there_cannot_be_looked_at(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequest, match="no 'encoder_q_0' to look at; it has encoder_i_0"):
        await client.session(model="intents", inspect=["encoder_q_0"]).feed(TEXT)
    with pytest.raises(NotPossible, match="without traces"):
        await client.session(model="plain", inspect=[]).feed(TEXT)


async def test_models_say_whether_they_can_be_looked_into(client: AsyncClient) -> None:
    assert {model.name: model.inspectable for model in await client.models()} == {
        "intents": True,
        "plain": False,
    }
