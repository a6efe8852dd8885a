import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from seqserve.inference import grpc_service_pb2 as wire
from service.api.inference import stream as stream_module
from tests.fakes.inference import arrays, in_sequence, request, stub, text, tokens
from tests.fakes.toy_server import Toys
from tests.fakes.waiting import until

GRAPH = "toy-intents.classify"


async def answered(toys: Toys, *requests: wire.ModelInferRequest) -> list[Any]:
    """Labels, or errors, in the order in which they come."""
    call = stub(toys).ModelStreamInfer(iter(requests))
    return [
        answer.error_message or int(arrays(answer.infer_response)["log_probs"].argmax())
        async for answer in call
    ]


def step(token: int, sequence: int, *, starts: bool = False, ends: bool = False) -> wire.ModelInferRequest:
    return request(
        GRAPH, tokens([token]), id=f"{sequence}", **in_sequence(sequence, starts=starts, ends=ends)
    )


async def test_sequences_of_one_stream_do_not_mix(toys: Toys) -> None:
    found = await answered(
        toys, step(4, 1, starts=True), step(5, 2, starts=True), step(8, 1), step(9, 2), step(6, 1), step(7, 2)
    )
    assert found == [1, 2, 0, 2, 0, 0]


async def test_requests_of_a_stream_share_batches(toys: Toys) -> None:
    engine = toys.engine("toy-intents")
    engine.hold()
    waiting = asyncio.ensure_future(answered(toys, *(step(4, n, starts=True) for n in range(1, 21))))
    await asyncio.to_thread(engine.running.wait, 10)
    await until(lambda: toys.jobs_active("toy-intents/1") == 20)
    engine.let_go()
    assert await waiting == [1] * 20
    assert len(engine.batches) < 20


async def test_what_is_wrong_with_a_request_is_said_in_its_answer_and_the_stream_goes_on(toys: Toys) -> None:
    good, bad = step(4, 1, starts=True), request("nobody", tokens([4]), id="bad")
    call = stub(toys).ModelStreamInfer(iter([good, bad, step(5, 1)]))
    first, wrong, last = [answer async for answer in call]
    assert (first.error_message, last.error_message) == ("", "")
    assert "no model is called 'nobody'" in wrong.error_message
    assert (wrong.infer_response.id, wrong.infer_response.model_name) == ("bad", "nobody")
    assert not wrong.infer_response.outputs


async def test_answers_come_in_the_order_of_the_requests(toys: Toys) -> None:
    slow, quick = request("toy-es-en", text("uno " * 15), id="slow"), request(GRAPH, tokens([4]), id="quick")
    call = stub(toys).ModelStreamInfer(iter([slow, quick]))
    assert [answer.infer_response.id async for answer in call] == ["slow", "quick"]


async def test_a_stream_is_read_no_further_than_it_is_answered(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "MAX_UNANSWERED", 3)
    engine = toys.engine("toy-intents")
    engine.hold()
    waiting = asyncio.ensure_future(answered(toys, *(step(4, n, starts=True) for n in range(1, 11))))
    await asyncio.to_thread(engine.running.wait, 10)
    await asyncio.sleep(0.2)
    assert toys.jobs_active("toy-intents/1") <= 4
    engine.let_go()
    assert await waiting == [1] * 10


async def test_a_client_that_leaves_takes_its_requests_along(toys: Toys) -> None:
    engine = toys.engine("toy-intents")
    engine.hold()

    async def forever() -> AsyncIterator[wire.ModelInferRequest]:
        for number in range(1, 6):
            yield step(4, number, starts=True)
        await asyncio.sleep(60)

    call = stub(toys).ModelStreamInfer(forever())
    await asyncio.to_thread(engine.running.wait, 10)
    call.cancel()
    await until(lambda: not toys.jobs_active("toy-intents/1") and not len(toys.server.sessions))
    engine.let_go()
    assert await answered(toys, step(4, 1, starts=True)) == [1]


async def test_a_silent_stream_does_not_hold_up_a_server_that_goes_away(toys: Toys) -> None:
    async def one_and_silence() -> AsyncIterator[wire.ModelInferRequest]:
        yield step(4, 1, starts=True)
        await asyncio.sleep(60)

    call: Any = stub(toys).ModelStreamInfer(one_and_silence())
    assert not (await call.read()).error_message
    await asyncio.wait_for(toys.server.drain(), 20)
    assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_fault_of_the_server_is_told_without_its_details(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr("service.api.inference.infer.inputs_from_proto", broken)
    [found] = await answered(toys, request(GRAPH, {"tokens": np.array([[4]])}))
    assert "something went wrong" in found
    assert "secret" not in found
