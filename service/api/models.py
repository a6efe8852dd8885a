"""ModelService: what is served here, and, where that is allowed, changes of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from seqserve.v1 import model_pb2, model_pb2_grpc
from service.api.converters import description_to_proto, selection_from_proto, task_from_proto
from service.errors import InvalidInput, NotAllowed
from service.registry import Registry, Served

Context = grpc.aio.ServicerContext[Any, Any]

Load = Callable[[str, str], Awaitable[Served]]
"""Name and version (empty: the newest on disk) → what serves it now."""
Unload = Callable[[str, str, float | None], Awaitable[int]]
"""Name, version and seconds until its sessions are ended → how many those are."""


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Lists and describes, loads and unloads; errors rise to the interceptor."""

    def __init__(self, registry: Registry, load: Load | None = None, unload: Unload | None = None) -> None:
        """Without `load` and `unload`, callers may not change anything."""
        self._registry = registry
        self._load = load
        self._unload = unload

    async def ListModels(  # noqa: N802  (named by the proto)
        self, request: model_pb2.ListModelsRequest, context: Context
    ) -> model_pb2.ListModelsResponse:
        task = task_from_proto(request.task)
        chosen = [served for served in self._registry.all() if task in (None, served.manifest.task)]
        return model_pb2.ListModelsResponse(models=map(description_to_proto, chosen))

    async def DescribeModel(  # noqa: N802
        self, request: model_pb2.DescribeModelRequest, context: Context
    ) -> model_pb2.DescribeModelResponse:
        served = self._registry.find(**selection_from_proto(request.model))
        return model_pb2.DescribeModelResponse(model=description_to_proto(served))

    async def LoadModel(  # noqa: N802
        self, request: model_pb2.LoadModelRequest, context: Context
    ) -> model_pb2.LoadModelResponse:
        served = await _allowed(self._load)(request.name, request.version)
        return model_pb2.LoadModelResponse(model=description_to_proto(served))

    async def UnloadModel(  # noqa: N802
        self, request: model_pb2.UnloadModelRequest, context: Context
    ) -> model_pb2.UnloadModelResponse:
        unload, deadline = _allowed(self._unload), request.deadline
        seconds = deadline.seconds + deadline.nanos / 1e9 if request.HasField("deadline") else None
        if seconds is not None and seconds < 0:
            raise InvalidInput("a deadline lies 0 or more seconds ahead", field="deadline")
        return model_pb2.UnloadModelResponse(
            num_sessions=await unload(request.name, request.version, seconds)
        )


def _allowed(change: Any) -> Any:
    if change is None:
        raise NotAllowed("this server does not allow administration (setting server.admin)")
    return change
