"""Writing while the source comes in, over the wire, on real graphs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.client import AsyncClient, AsyncSession, InvalidRequest, NotPossible
from service.config import EngineSettings, Settings
from service.engine.onnx import OnnxEngine
from service.server import Server
from tests.bundles import write_interpreter, write_translator

SENTENCE = "the cat ¿Dónde está la biblioteca? jazz music I don't know"
WORDS = [f"{word} " for word in SENTENCE.split()]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    write_interpreter(tmp_path, "live", seed=3)
    write_translator(tmp_path, "plain", encoder={"hidden": 24})
    flags = {"server": {"port": 0}, "models": {"repository": str(tmp_path)}, "metrics": {"port": None}}
    server = Server(Settings.load(None, flags), lambda bundle: OnnxEngine(bundle, EngineSettings(threads=1)))
    await server.start()
    try:
        async with AsyncClient(server.address) as client:
            yield client
    finally:
        await server.drain()


async def written(session: AsyncSession, words: list[str]) -> str:
    text = "".join([(await session.feed(word)).written for word in words])
    last = await session.feed("", end_of_input=True)
    assert last.hypotheses[0].text.endswith(text + last.written)
    return text + last.written


async def test_words_come_while_the_source_comes_in_and_are_the_output(client: AsyncClient) -> None:
    async with client.session(model="live", wait_k=2) as session:
        nothing = await session.feed(WORDS[0])
        assert nothing.tokens == ()
        pieces = [(await session.feed(word)).written for word in WORDS[1:]]
        assert sum(map(bool, pieces)) > 3
        last = await session.feed("", end_of_input=True)
        [best] = last.hypotheses
        assert "".join([*pieces, last.written]) == best.text
        assert last.output_position == len(best.tokens)


async def test_a_session_taken_up_again_still_knows_its_policy_and_where_it_was(client: AsyncClient) -> None:
    async with client.session(model="live", wait_k=2) as session:
        whole = await written(session, WORDS)
    session = client.session(model="live", wait_k=2)
    begun = [(await session.feed(word)).written for word in WORDS[:5]]
    session.detach()
    async with client.resume(session.session_id) as resumed:
        assert "".join(begun) + await written(resumed, WORDS[5:]) == whole
    other = client.session(model="live", wait_k=2)
    for word in WORDS[:5]:
        await other.feed(word)
    ticket = await other.ticket()
    other.detach()
    async with client.resume(ticket) as resumed:
        assert "".join(begun) + await written(resumed, WORDS[5:]) == whole


async def test_a_fork_goes_its_own_way_from_there(client: AsyncClient) -> None:
    async with client.session(model="live", wait_k=1) as session:
        for word in WORDS[:4]:
            await session.feed(word)
        fork = await session.fork()
        assert await written(session, WORDS[4:]) == await written(fork, WORDS[4:])


async def test_who_may_be_asked_for_it_is_told(client: AsyncClient) -> None:
    models = {model.name: model for model in await client.models()}
    assert models["live"].simultaneous
    assert not models["plain"].simultaneous
    with pytest.raises(NotPossible, match="plain was not trained to write while the source comes in"):
        await client.session(model="plain", wait_k=2).feed("the ")
    with pytest.raises(InvalidRequest, match="wait_k must be 1 to 100 words, not 0"):
        await client.session(model="live", wait_k=0).feed("the ")


async def test_without_a_policy_it_is_a_translator_as_any_other(client: AsyncClient) -> None:
    async with client.session(model="live") as session:
        for word in WORDS:
            assert (await session.feed(word)).tokens == ()
        async with session.generate(max_length=30) as tokens:
            text = "".join([token.piece async for token in tokens])
    assert (
        text
        == (await client.translate("".join(WORDS).strip(), model="live", beam_size=1, max_length=30)).text
    )
