"""Priority over the wire: a header says it for a call, a parameter for a request, a setting bounds it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seqserve.inference import grpc_service_pb2 as wire
from seqserve.v1 import sequence_pb2, session_pb2
from service.priority import CURRENT, MOST_URGENT, Priority
from tests.fakes.inference import denied, request, stub, tokens
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import Talk, model

GRAPH = "toy-intents.classify"
HEADER = "seqserve-priority"


def waited(toys: Toys) -> dict[str, int]:
    """Jobs that have come into a batch, by priority."""
    found: dict[str, int] = {}
    for sample in next(iter(toys.server.metrics.queue_wait_seconds.collect())).samples:
        if sample.name.endswith("_count") and sample.value:
            name = sample.labels["priority"]
            found[name] = found.get(name, 0) + int(sample.value)
    return found


async def classify(toys: Toys, *metadata: tuple[str, str]) -> Any:
    asked = sequence_pb2.ClassifyRequest(model=model("toy-intents"), texts=["uno dos"])
    return await toys.sequence.Classify(asked, metadata=metadata)


async def infer(toys: Toys, *, header: str = "", **parameters: Any) -> Any:
    metadata = ((HEADER, header),) if header else ()
    asked = request(GRAPH, tokens([4]), **parameters)
    return await stub(toys).ModelInfer(asked, metadata=metadata)


@pytest.mark.parametrize("name", ["high", "normal", "low"])
async def test_a_call_has_the_priority_that_its_header_says(toys: Toys, name: str) -> None:
    before = waited(toys).get(name, 0)
    plain, urgent = await classify(toys), await classify(toys, (HEADER, name))
    assert waited(toys)[name] - before == (2 if name == "normal" else 1)
    assert plain == urgent


async def test_a_priority_that_there_is_not_is_refused(toys: Toys) -> None:
    for wrong in ("urgent", "1", "HIGH"):
        async with denied("INVALID_ARGUMENT", "seqserve-priority is one of high, normal, low"):
            await classify(toys, (HEADER, wrong))


async def test_a_call_leaves_nothing_behind(toys: Toys) -> None:
    await classify(toys, (HEADER, "low"))
    assert (CURRENT.get(), MOST_URGENT.get()) == (Priority.NORMAL, Priority.HIGH)
    before = waited(toys)["low"]
    await classify(toys)
    assert waited(toys)["low"] == before


async def test_all_that_a_session_does_on_a_stream_has_its_priority(toys: Toys) -> None:
    before = waited(toys).get("low", 0)
    talk = Talk(toys.sequence.Session(metadata=((HEADER, "low"),)))
    await talk.say(open=session_pb2.Open(model=model()))
    for _ in range(3):
        await talk.feed("uno ")
    assert waited(toys)["low"] - before == 3


@pytest.mark.parametrize(
    ("level", "header", "name"),
    [
        (1, "", "high"),
        (2, "", "normal"),
        (3, "", "low"),
        (0, "", "normal"),
        (9, "", "normal"),
        (0, "low", "low"),
        (1, "low", "high"),
        ("3", "", "low"),
    ],
)
async def test_a_request_of_triton_has_the_level_that_it_says_or_else_that_of_its_call(
    toys: Toys, level: Any, header: str, name: str
) -> None:
    before = waited(toys).get(name, 0)
    await infer(toys, header=header, priority=level)
    assert waited(toys)[name] == before + 1


async def test_each_request_of_a_stream_has_its_own(toys: Toys) -> None:
    before = waited(toys)

    async def requests() -> AsyncIterator[Any]:
        for level in (3, 1, 0):
            yield request(GRAPH, tokens([4]), priority=level)

    async for answer in stub(toys).ModelStreamInfer(requests()):
        assert not answer.error_message
    grown = {name: num - before.get(name, 0) for name, num in waited(toys).items()}
    assert {name: num for name, num in grown.items() if num} == {"high": 1, "normal": 1, "low": 1}


async def test_the_levels_are_advertised(toys: Toys) -> None:
    answer = await stub(toys).ModelConfig(wire.ModelConfigRequest(name="two-way"))
    batching = answer.config.dynamic_batching
    assert (batching.priority_levels, batching.default_priority_level) == (3, 2)


@asynccontextmanager
async def serving(folder: Path, max_priority: str) -> AsyncIterator[Toys]:
    async with serve_toys(folder, quotas={"max_priority": max_priority}) as toys:
        yield toys


@pytest.mark.parametrize(("most", "got"), [("normal", {"normal": 4, "low": 2}), ("low", {"low": 6})])
async def test_nobody_gets_more_than_the_settings_allow(
    tmp_path: Path, most: str, got: dict[str, int]
) -> None:
    async with serving(tmp_path, most) as toys:
        for name in ("high", "normal", "low"):
            await classify(toys, (HEADER, name))
        for level in (1, 2, 3):
            await infer(toys, priority=level)
        assert waited(toys) == got
