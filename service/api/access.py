"""One table: which method takes which role."""

from collections.abc import Mapping

from service.api.callers import Role

MULTIPLEX = "/seqserve.v1.MultiplexService/Multiplex"
"""Carries other calls, each of which is looked at by itself."""

NEEDS: Mapping[str, Role] = {
    "/seqserve.v1.SequenceService/": Role.USE,
    "/seqserve.v1.SessionService/": Role.USE,
    MULTIPLEX: Role.USE,
    "/seqserve.v1.ModelService/ListModels": Role.USE,
    "/seqserve.v1.ModelService/DescribeModel": Role.USE,
    "/seqserve.v1.ModelService/LoadModel": Role.ADMIN,
    "/seqserve.v1.ModelService/UnloadModel": Role.ADMIN,
    "/inference.GRPCInferenceService/ServerLive": Role.NONE,
    "/inference.GRPCInferenceService/ServerReady": Role.NONE,
    "/inference.GRPCInferenceService/ServerMetadata": Role.USE,
    "/inference.GRPCInferenceService/ModelReady": Role.USE,
    "/inference.GRPCInferenceService/ModelMetadata": Role.USE,
    "/inference.GRPCInferenceService/ModelConfig": Role.USE,
    "/inference.GRPCInferenceService/ModelStatistics": Role.USE,
    "/inference.GRPCInferenceService/ModelInfer": Role.USE,
    "/inference.GRPCInferenceService/ModelStreamInfer": Role.USE,
    "/inference.GRPCInferenceService/RepositoryIndex": Role.USE,
    "/inference.GRPCInferenceService/RepositoryModelLoad": Role.ADMIN,
    "/inference.GRPCInferenceService/RepositoryModelUnload": Role.ADMIN,
    "/grpc.health.v1.Health/": Role.NONE,
    "/grpc.health.v1.Health/List": Role.USE,
    "/grpc.reflection.v1alpha.ServerReflection/": Role.NONE,
}
"""A method, or a whole service with a slash behind its name. What does not stand here takes ADMIN."""


def needed(method: str) -> Role:
    """The role that a method takes, by its whole name (`/package.Service/Method`)."""
    service, _, _ = method.rpartition("/")
    return NEEDS.get(method) or NEEDS.get(f"{service}/", Role.ADMIN)
