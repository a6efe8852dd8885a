"""Feature vectors described in words: from Python, in a session, from a terminal."""

import json
from pathlib import Path

import pytest

from service.client import AsyncClient, Client, InvalidRequest, NotPossible
from tests.system.conftest import Running
from tests.system.signals.conftest import Seqserve
from tests.training.signals import shapes

pytestmark = pytest.mark.timeout(600)  # the first one trains six models

SCENES = shapes()[::4]
VECTORS = [scene["vector"] for scene in SCENES]
TEXTS = [scene["text"] for scene in SCENES]


def test_vectors_are_described_in_order_and_alone_as_together(hears: Client) -> None:
    together = hears.caption_many(VECTORS, model="toy-shapes", beam_size=3, num_hypotheses=2)
    assert [one.text for one in together] == TEXTS
    for vector, caption in zip(VECTORS, together, strict=True):
        assert hears.caption(vector, beam_size=3, num_hypotheses=2) == caption
        assert len(caption.hypotheses) == 2


async def test_the_async_client_describes_alike(hears: Client, signal_server: Running) -> None:
    async with AsyncClient(signal_server.address, timeout=60) as client:
        assert await client.caption_many(VECTORS) == hears.caption_many(VECTORS)
        assert await client.caption(VECTORS[0]) == hears.caption(VECTORS[0])


def test_a_session_describes_one_vector_after_the_other(hears: Client) -> None:
    with hears.session(model="toy-shapes") as session:
        for vector, text in zip(VECTORS, TEXTS, strict=True):
            session.feed_features([vector])
            with session.fork() as fork:
                assert fork.generate(max_length=1).finish().text == text.split()[0]
            stream = session.generate()
            assert "".join(token.piece for token in stream) == stream.result.text == text
        with pytest.raises(NotPossible, match="feed a vector, then generate"):
            session.generate().finish()


def test_what_is_not_one_vector_is_refused(hears: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"vectors\[1\] has readings of 2 numbers; expected 5: v0, v1"):
        hears.caption_many([VECTORS[0], [1, 2]])
    with hears.session(model="toy-shapes") as session:
        with pytest.raises(InvalidRequest, match="has 2 vectors; expected one"):
            session.feed_features(VECTORS[:2])
        session.feed_features(VECTORS[:1])
        with pytest.raises(InvalidRequest, match="reads at most 1"):
            session.feed_features(VECTORS[:1])


def test_a_terminal_describes_lines_of_numbers_lists_and_objects(seqserve: Seqserve, data: Path) -> None:
    rows = [json.dumps({"vector": VECTORS[0]}), json.dumps(VECTORS[1]), ", ".join(map(str, VECTORS[2]))]
    ran = seqserve("caption", stdin="\n".join(rows).encode())
    assert (ran.err, ran.lines) == ("", TEXTS[:3])
    wrong = seqserve("caption", stdin=b"[1]\n{}\n")
    assert (wrong.code, wrong.err.count("line 2: expected numbers")) == (2, 1)
    measured = seqserve("evaluate", "--json", "--model", "toy-shapes", str(data / "shapes" / "all.jsonl"))
    assert json.loads(measured.out)["more"]["whole texts right, %"] > 95
