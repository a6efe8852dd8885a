"""The async client and a real server in one process: the stream is cut after any answer, and nothing changes."""

from pathlib import Path
from typing import Any

import pytest

from service.client import AsyncClient, AsyncSession
from tests.fakes.toy_server import serve_toys

NEVER: frozenset[int] = frozenset()


class Cuts:
    """Cuts a session's stream after the answers with these numbers."""

    def __init__(self, after: frozenset[int]) -> None:
        self._after = after
        self._num_answers = 0

    def maybe(self, session: AsyncSession) -> None:
        if self._num_answers in self._after and session._exchange is not None:
            session._exchange._call.cancel()
        self._num_answers += 1


async def whole(client: AsyncClient, after: frozenset[int]) -> list[Any]:
    """All that a session says from its beginning to its end."""
    cuts, said = Cuts(after), list[Any]()
    async with client.session(model="toy-es-en") as session:
        for words in ("a ", "b b", "b c "):
            said.append(await session.feed(words))
            cuts.maybe(session)
        stream = session.generate()
        async for token in stream:
            said.append(token)
            cuts.maybe(session)
        said.append(stream.result)
        cuts.maybe(session)
        await session.rewind(0)
        cuts.maybe(session)
        async with await session.fork() as fork:
            cuts.maybe(fork)
            said += [await fork.feed("d "), session.input_position, session.num_turns]
    return said


@pytest.mark.parametrize(
    "after",
    [{0}, {1, 2}, {3}, {4, 5}, {3, 6}, {7}, {8, 9}, set(range(20))],
    ids=lambda cuts: str(sorted(cuts))[:12],
)
async def test_a_cut_stream_says_the_same(after: set[int], tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys, AsyncClient(toys.server.address, timeout=60) as client:
        assert await whole(client, frozenset(after)) == await whole(client, NEVER)
