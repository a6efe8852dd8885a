"""A server with a model of every task, to which scripts are played, and the law that holds whatever is played.

Every call ends in time, with OK or a documented status and its reason. A session beside it is answered bit for bit as
when nobody plays. Afterwards nothing stays behind: no call, held session, job, task or thread; and no session at all,
once they are closed.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from seqserve.inference import grpc_service_pb2 as inference
from seqserve.v1 import model_pb2, session_pb2
from service.api.statuses import STATUSES
from service.client.errors import NOT_WRITTEN
from service.config import Settings
from service.server import Server
from tests.fuzz.messages import SESSION, TICKET
from tests.fuzz.models import models
from tests.fuzz.scripts import METHODS, Call, Script

PATIENCE_S = 60.0
"""A call that takes longer does not end. Far more than any takes: the machine may be busy."""
NOT_HEARD = "ended before all was written"
UNFORESEEN = "something went wrong in the server"
CANARY = "text"
LIMITS: dict[str, dict[str, Any]] = {
    "server": {"port": 0, "admin": True, "unload_deadline_s": 0.0, "grace_s": 1.0},
    "limits": {"max_texts": 40, "max_text_bytes": 4000},
    "sessions": {"compact_after_s": 0.0, "max_sessions": 200},
    "store": {"kind": "memory"},
}
_PATH = "/seqserve.v1.{}Service/{}".format
_CHANGES = ("LoadModel", "UnloadModel", "RepositoryModelLoad", "RepositoryModelUnload")
"""Methods after which other models may be there."""

FAULTS = (grpc.StatusCode.INTERNAL.name, grpc.StatusCode.UNKNOWN.name)
ALLOWED = {(status, kind.reason) for kind, status in STATUSES.items() if status.name not in FAULTS}


class House:
    """The server on a thread of its own; `play` is called from any other."""

    def __init__(self, repository: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="house", daemon=True)
        self._thread.start()
        self._complaints: list[str] = []
        self._loop.set_exception_handler(lambda _, context: self._complaints.append(str(context)))
        self._repository = repository
        self._ticket = TICKET
        self._session = SESSION
        self._wait(self._start())

    def play(self, script: Script) -> list[str]:
        """How its calls ended; AssertionError where the law is broken."""
        ends: list[str] = self._wait(self._play(script))
        return ends

    def close(self) -> None:
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10 * PATIENCE_S)

    async def _start(self) -> None:
        flags = {**LIMITS, "models": {"repository": str(self._repository)}}
        self.server = Server(Settings.load(flags=flags, environment={}))
        await self.server.start()
        self._channel = grpc.aio.insecure_channel(self.server.address)
        self._undisturbed = await self._canary()
        assert await self._canary() == self._undisturbed
        self._models = {(each.manifest.name, each.manifest.version) for each in self.server.registry.all()}
        await self._clean()
        self._num_tasks, self._num_threads = len(asyncio.all_tasks()), num_threads()

    async def _end(self) -> None:
        await self._channel.close()
        await self.server.drain()

    async def _play(self, script: Script) -> list[str]:
        self._session, self._ticket = SESSION, TICKET
        changes = any(call.path.endswith(_CHANGES) for call in script)
        beside = None if changes else asyncio.create_task(self._canary())
        ends = [await self._call(call) for call in script]
        if changes:
            await self._bring_back()
        heard = await (beside or self._canary())
        assert heard == self._undisturbed, "another session was answered otherwise"
        await self._clean()
        assert not self._complaints, self._complaints
        assert not sum(_counted(self.server, "seqserve_requests_total", *FAULTS)), "a call ended as a fault"
        return ends

    async def _call(self, call: Call) -> str:
        """How it ended."""
        method = METHODS[call.path]
        kind = "stream" if method.client_streaming else "unary"
        kind += "_stream" if method.server_streaming else "_unary"
        start: Callable[..., Any] = getattr(self._channel, kind)(call.path)
        requests = [self._meant(request, method) for request in call.requests]
        begun = start(
            _each(requests) if method.client_streaming else b"".join(requests[:1]), timeout=PATIENCE_S
        )
        num = 0
        try:
            if not method.server_streaming:
                if call.leaves_after is None:
                    await begun
            else:
                async for answer in begun:
                    self._look(answer, method)
                    num += 1
                    if call.leaves_after is not None and num > call.leaves_after:
                        break
        except grpc.aio.AioRpcError as error:
            return _judged(error, call)
        if call.leaves_after is not None:
            begun.cancel()
            return "left"
        return "OK"

    def _meant(self, request: bytes, method: Any) -> bytes:
        """With the session and the ticket that were given out last in their places."""
        if TICKET in request and self._ticket != TICKET:
            try:
                message = session_pb2.SessionRequest.FromString(request)
                message.resume.ticket = self._ticket
                request = message.SerializeToString()
            except DecodeError:
                pass
        placeholder, session = SESSION.encode(), self._session.encode()
        return request.replace(placeholder, session)

    def _look(self, answer: bytes, method: Any) -> None:
        if method.name == "Session":
            response = session_pb2.SessionResponse.FromString(answer)
            kind = response.WhichOneof("response")
            assert kind, "an answer without a kind"
            if kind in ("opened", "forked"):
                self._session = getattr(response, kind).session_id
            elif kind == "snapshotted" and response.snapshotted.ticket:
                self._ticket = response.snapshotted.ticket
        elif method.name == "ModelStreamInfer":
            told = inference.ModelStreamInferResponse.FromString(answer)
            assert UNFORESEEN not in told.error_message, told

    async def _canary(self) -> list[bytes]:
        """What a session says that has nothing to do with what is played."""
        asked = [
            session_pb2.SessionRequest(open=session_pb2.Open(model=model_pb2.ModelSelector(name=CANARY))),
            session_pb2.SessionRequest(feed=session_pb2.Feed(text="the cat s"), turn=0),
            session_pb2.SessionRequest(generate=session_pb2.Generate(), turn=1),
            session_pb2.SessionRequest(close=session_pb2.Close()),
        ]
        asked[2].generate.options.max_length = 4
        call: Any = self._channel.stream_stream(_PATH("Sequence", "Session"))(
            cast("Any", _each([request.SerializeToString() for request in asked])), timeout=PATIENCE_S
        )
        tokens, others = [], []
        async for answer in call:
            response = session_pb2.SessionResponse.FromString(answer)
            response.opened.session_id = ""
            response.durable_turn = 0
            # Several tokens may come in one message.
            tokens += [token.SerializeToString() for token in response.output.tokens]
            del response.output.tokens[:]
            if response.output.hypotheses or response.WhichOneof("response") != "output":
                others.append(response.SerializeToString(deterministic=True))
        return tokens + others

    async def _bring_back(self) -> None:
        """Models that were unloaded."""
        load: Any = self._channel.unary_unary(_PATH("Model", "LoadModel"))
        changes: Any = self.server.changes
        await _until(lambda: not changes._retiring, "a model that leaves")
        there = {(each.manifest.name, each.manifest.version) for each in self.server.registry.all()}
        for name, version in self._models - there:
            await load(model_pb2.LoadModelRequest(name=name, version=version).SerializeToString())

    async def _clean(self) -> None:
        """Close every session; then nothing may be left."""
        server, table = self.server, self.server._directory._table
        await _until(lambda: not len(server._calls), "a call")
        await _until(lambda: not table.num_held, "a held session")
        await _until(lambda: not sum(_counted(server, "seqserve_jobs_active")), "a job")
        await self._close_all()
        await _until(lambda: not len(table), "a session")
        assert (table.held_bytes, table.idle_bytes) == (0, 0), "bytes of sessions that are not there"
        if hasattr(self, "_num_tasks"):
            await _until(lambda: len(asyncio.all_tasks()) <= self._num_tasks, "a task")
            await _until(lambda: num_threads() <= self._num_threads, "a thread")

    async def _close_all(self) -> None:
        list_all: Any = self._channel.unary_unary(_PATH("Session", "ListSessions"))
        close: Any = self._channel.unary_unary(_PATH("Session", "CloseSession"))
        while True:
            page = session_pb2.ListSessionsResponse.FromString(await list_all(b""))
            if not page.sessions:
                return
            for session in page.sessions:
                request = session_pb2.CloseSessionRequest(session_id=session.session_id)
                await close(request.SerializeToString())


@cache
def house() -> House:
    """The one of this process."""
    return House(models())


def num_threads() -> int:
    """But for those that stand ready to do what would block."""
    return sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())


def _judged(error: grpc.aio.AioRpcError, call: Call) -> str:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    if error.details() == NOT_WRITTEN:
        return NOT_HEARD
    told = f"{call.path} ended with {error.code().name} {info.reason}: {error.details()}"
    assert (error.code(), info.reason) in ALLOWED, told
    return f"{error.code().name} {info.reason}"


def _counted(server: Server, name: str, *codes: str) -> Sequence[float]:
    """What a metric says; of these codes only, where there are any."""
    return [
        sample.value
        for family in server.metrics.registry.collect()
        for sample in family.samples
        if sample.name == name and (not codes or sample.labels["code"] in codes)
    ]


async def _each(requests: Sequence[bytes]) -> AsyncIterator[bytes]:
    for request in requests:
        yield request


async def _until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for what ends by itself; AssertionError where it does not."""
    for wait in (0, 0.001, 0.01, 0.05, *[0.1] * 100, *[1.0] * 50):
        if is_so():
            return
        await asyncio.sleep(wait)
    raise AssertionError(f"{what} stays behind")
