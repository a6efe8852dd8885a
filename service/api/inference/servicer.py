"""GRPCInferenceService. Errors rise to the interceptor; on a stream they are answers."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple, NoReturn

import grpc

from seqserve.inference import grpc_service_pb2 as wire
from seqserve.inference import grpc_service_pb2_grpc
from service.api.calls import Calls
from service.api.inference.infer import Inference
from service.api.inference.offer import config_to_proto, find_offer, metadata_to_proto
from service.api.inference.sequences import Caller, Sequences
from service.api.inference.statistics import Statistics
from service.api.inference.stream import InferenceStream
from service.api.models import Load, Unload
from service.api.owners import Owners
from service.config import Settings
from service.errors import InvalidInput, ModelNotFound, NotAllowed, NotOffered
from service.metrics import Metrics
from service.registry import Registry, Served
from service.sessions import Sessions

Context = grpc.aio.ServicerContext[Any, Any]

EXTENSIONS = (
    "sequence",
    "sequence(string_id)",
    "model_configuration",
    "statistics",
    "binary_tensor_data",
    "parameters",
)
"""Beyond the protocol's core; with administration, `model_repository` too."""


class Administration(NamedTuple):
    """What may be changed."""

    load: Load
    unload: Unload


class InferenceServicer(grpc_service_pb2_grpc.GRPCInferenceServiceServicer):
    """One method for each RPC; the proto says what each promises."""

    def __init__(
        self,
        registry: Registry,
        sessions: Sessions,
        settings: Settings,
        owners: Owners,
        calls: Calls,
        metrics: Metrics,
        administration: Administration | None = None,
    ) -> None:
        """Without `administration`, callers may not change anything."""
        self._registry = registry
        self._owners = owners
        self._calls = calls
        self._administration = administration
        self._statistics = Statistics(metrics)
        self._max_rows = settings.scheduler.max_batch
        self._max_sequences = settings.sessions.max_sessions
        self._sequences = Sequences(sessions, settings.sessions.default_ttl_s)
        self._inference = Inference(
            registry, self._sequences, self._statistics, settings.limits, self._max_rows
        )

    async def ServerLive(  # noqa: N802  (named by the proto)
        self, request: wire.ServerLiveRequest, context: Context
    ) -> wire.ServerLiveResponse:
        return wire.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802
        self, request: wire.ServerReadyRequest, context: Context
    ) -> wire.ServerReadyResponse:
        return wire.ServerReadyResponse(ready=bool(self._registry.all()))

    async def ModelReady(  # noqa: N802
        self, request: wire.ModelReadyRequest, context: Context
    ) -> wire.ModelReadyResponse:
        with suppress(ModelNotFound, InvalidInput):
            find_offer(self._registry, request.name, request.version)
            return wire.ModelReadyResponse(ready=True)
        return wire.ModelReadyResponse(ready=False)

    async def ServerMetadata(  # noqa: N802
        self, request: wire.ServerMetadataRequest, context: Context
    ) -> wire.ServerMetadataResponse:
        repository = ("model_repository",) if self._administration else ()
        return wire.ServerMetadataResponse(
            name="seqserve", version=_version(), extensions=(*EXTENSIONS, *repository)
        )

    async def ModelMetadata(  # noqa: N802
        self, request: wire.ModelMetadataRequest, context: Context
    ) -> wire.ModelMetadataResponse:
        offer = find_offer(self._registry, request.name, request.version)
        versions = [each.manifest.version for each in self._versions(offer.served.manifest.name)]
        return metadata_to_proto(offer, versions)

    async def ModelConfig(  # noqa: N802
        self, request: wire.ModelConfigRequest, context: Context
    ) -> wire.ModelConfigResponse:
        offer = find_offer(self._registry, request.name, request.version)
        config = config_to_proto(offer, self._max_rows, self._max_sequences, self._sequences.ttl_s)
        return wire.ModelConfigResponse(config=config)

    async def ModelStatistics(  # noqa: N802
        self, request: wire.ModelStatisticsRequest, context: Context
    ) -> wire.ModelStatisticsResponse:
        if request.name:
            named = find_offer(self._registry, request.name, request.version)
            versions = self._versions(named.served.manifest.name, request.version)
            offers = [replace(named, served=served) for served in versions]
        else:
            offers = [
                find_offer(self._registry, served.manifest.name, served.manifest.version)
                for served in self._registry.all()
            ]
        return wire.ModelStatisticsResponse(model_stats=map(self._statistics.to_proto, offers))

    async def ModelInfer(  # noqa: N802
        self, request: wire.ModelInferRequest, context: Context
    ) -> wire.ModelInferResponse:
        return await self._inference.answer(request, Caller.of(context, self._owners))

    async def ModelStreamInfer(  # noqa: N802
        self, request_iterator: AsyncIterator[wire.ModelInferRequest], context: Context
    ) -> AsyncGenerator[wire.ModelStreamInferResponse, None]:
        caller = Caller.of(context, self._owners)
        stream = InferenceStream(partial(self._inference.answer, caller=caller), self._calls)
        async with aclosing(stream.answers(request_iterator)) as answers:
            async for answer in answers:
                yield answer

    async def RepositoryIndex(  # noqa: N802
        self, request: wire.RepositoryIndexRequest, context: Context
    ) -> wire.RepositoryIndexResponse:
        response = wire.RepositoryIndexResponse()
        for served in self._registry.all():
            response.models.add(name=served.manifest.name, version=served.manifest.version, state="READY")
        for path, reason in () if request.ready else self._registry.refused.items():
            name, _, number = path.partition("/")
            response.models.add(name=name, version=number, state="UNAVAILABLE", reason=reason)
        return response

    async def RepositoryModelLoad(  # noqa: N802
        self, request: wire.RepositoryModelLoadRequest, context: Context
    ) -> wire.RepositoryModelLoadResponse:
        load = self._allowed().load
        await load(request.model_name, _version_of(request))
        return wire.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(  # noqa: N802
        self, request: wire.RepositoryModelUnloadRequest, context: Context
    ) -> wire.RepositoryModelUnloadResponse:
        unload = self._allowed().unload
        chosen = self._versions(request.model_name, _version_of(request))
        if not chosen:
            raise ModelNotFound(f"{request.model_name!r} is not served", name=request.model_name)
        for served in chosen:
            await unload(served.manifest.name, served.manifest.version, None)
        return wire.RepositoryModelUnloadResponse()

    async def SystemSharedMemoryStatus(self, request: Any, context: Context) -> NoReturn:  # noqa: N802
        raise _no_shared_memory()

    async def SystemSharedMemoryRegister(self, request: Any, context: Context) -> NoReturn:  # noqa: N802
        raise _no_shared_memory()

    async def SystemSharedMemoryUnregister(self, request: Any, context: Context) -> NoReturn:  # noqa: N802
        raise _no_shared_memory()

    async def CudaSharedMemoryStatus(self, request: Any, context: Context) -> NoReturn:  # noqa: N802
        raise _no_shared_memory()

    async def CudaSharedMemoryRegister(self, request: Any, context: Context) -> NoReturn:  # noqa: N802
        raise _no_shared_memory()

    async def CudaSharedMemoryUnregister(self, request: Any, context: Context) -> NoReturn:  # noqa: N802
        raise _no_shared_memory()

    async def TraceSetting(self, request: Any, context: Context) -> NoReturn:  # noqa: N802
        raise NotOffered("traces cannot be set over the wire; they are settings of the server")

    async def LogSettings(self, request: Any, context: Context) -> NoReturn:  # noqa: N802
        raise NotOffered(
            "logging cannot be set over the wire: start the server with --log-level and --log-format"
        )

    def _versions(self, name: str, number: str = "") -> list[Served]:
        """All versions of a model, or the one that is named; none where there is no such model."""
        return [
            served
            for served in self._registry.all()
            if served.manifest.name == name and number in ("", served.manifest.version)
        ]

    def _allowed(self) -> Administration:
        if self._administration is None:
            raise NotAllowed("this server does not allow administration (setting server.admin)")
        return self._administration


def _version_of(request: wire.RepositoryModelLoadRequest | wire.RepositoryModelUnloadRequest) -> str:
    """The parameter `version`; empty where there is none. InvalidInput for any other: nothing else can be chosen."""
    for name in request.parameters:
        if name not in ("version", "unload_dependents"):
            raise InvalidInput(
                f"no parameter is called {name!r}; models come from the server's own folder, as they are",
                field=f"parameters.{name}",
            )
    return request.parameters["version"].string_param if "version" in request.parameters else ""


def _version() -> str:
    try:
        return version("seqserve")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "unknown"


def _no_shared_memory() -> NotOffered:
    return NotOffered("shared memory is not offered: send tensors in the messages")
