"""ModelStreamInfer: requests of one stream, worked off side by side and answered in the order in which they came.

requests ─▶ reader ─▶ a task for each, at most MAX_UNANSWERED ─▶ answers, the oldest first
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import nullcontext

import structlog

from seqserve.inference import grpc_service_pb2 as wire
from service.api.calls import Calls
from service.errors import SeqserveError

MAX_UNANSWERED = 64
"""Requests of one stream that are under way; then it is read no further until the oldest is answered."""

log = structlog.get_logger("seqserve.calls")

Answer = Callable[[wire.ModelInferRequest], Awaitable[wire.ModelInferResponse]]


class InferenceStream:
    """One stream. Whoever closes `answers` ends all that is under way."""

    def __init__(self, answer: Answer, calls: Calls) -> None:
        self._answer = answer
        self._calls = calls
        self._tasks: asyncio.Queue[asyncio.Task[wire.ModelStreamInferResponse] | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(MAX_UNANSWERED)
        self._under_way: set[asyncio.Task[wire.ModelStreamInferResponse]] = set()

    async def answers(
        self, requests: AsyncIterator[wire.ModelInferRequest]
    ) -> AsyncGenerator[wire.ModelStreamInferResponse, None]:
        """An answer to each request; what is wrong with one of them is said in its answer."""
        reader = asyncio.create_task(self._read(requests))
        try:
            while (task := await self._next()) is not None:
                yield await task
                self._room.release()
            await reader
        finally:
            for under_way in (reader, *self._under_way):
                under_way.cancel()
            await asyncio.gather(reader, *self._under_way, return_exceptions=True)

    async def _next(self) -> asyncio.Task[wire.ModelStreamInferResponse] | None:
        with self._calls.idle() if self._tasks.empty() else nullcontext():
            return await self._tasks.get()

    async def _read(self, requests: AsyncIterator[wire.ModelInferRequest]) -> None:
        try:
            async for request in requests:
                task = asyncio.create_task(self._answered(request))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                self._tasks.put_nowait(task)
                await self._room.acquire()
        finally:
            self._tasks.put_nowait(None)

    async def _answered(self, request: wire.ModelInferRequest) -> wire.ModelStreamInferResponse:
        try:
            return wire.ModelStreamInferResponse(infer_response=await self._answer(request))
        except SeqserveError as error:
            message = str(error)
        except Exception:
            log.exception(
                "a request of a stream failed in a way that was not foreseen", model=request.model_name
            )
            message = "something went wrong in the server; its log tells more"
        return wire.ModelStreamInferResponse(
            error_message=message,
            infer_response=wire.ModelInferResponse(
                id=request.id, model_name=request.model_name, model_version=request.model_version
            ),
        )
