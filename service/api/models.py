"""ModelService: what is served here."""

from typing import Any

import grpc

from seqserve.v1 import model_pb2, model_pb2_grpc
from service.api.converters import description_to_proto, selection_from_proto, task_from_proto
from service.errors import NotAllowed
from service.registry import Registry

Context = grpc.aio.ServicerContext[Any, Any]


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Lists and describes; errors rise to the interceptor."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

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
        raise NotAllowed("this server does not allow administration")

    async def UnloadModel(  # noqa: N802
        self, request: model_pb2.UnloadModelRequest, context: Context
    ) -> model_pb2.UnloadModelResponse:
        raise NotAllowed("this server does not allow administration")
