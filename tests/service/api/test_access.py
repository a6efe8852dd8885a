"""The table of methods and roles."""

import re

import pytest
from google.protobuf import descriptor_pool

from seqserve.inference import grpc_service_pb2
from seqserve.v1 import model_pb2, sequence_pb2, session_pb2
from service.api.access import NEEDS, needed
from service.api.callers import Role

ADMINISTRATION = re.compile(r"(Repository)?(Model)?(Load|Unload)(Model)?|\w+SharedMemory\w+|\w+Settings?")
FOR_EVERYBODY = {"ServerLive", "ServerReady"}
METHODS = [
    f"/{service.full_name}/{method.name}"
    for file in (sequence_pb2, session_pb2, model_pb2, grpc_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize("method", METHODS)
def test_each_of_our_methods_takes_a_role_and_changes_of_models_take_admin(method: str) -> None:
    name = method.rpartition("/")[2]
    expected = (
        Role.ADMIN if ADMINISTRATION.fullmatch(name) else Role.NONE if name in FOR_EVERYBODY else Role.USE
    )
    assert needed(method) is expected


@pytest.mark.parametrize(
    "method",
    [
        "/seqserve.v1.ModelService/New",
        "/any.Service/Method",
        "",
        "/",
        "//",
        "/seqserve.v1.SequenceService",
        "/seqserve.v1.ModelService/ListModels/",
        "/seqserve.v1.SequenceService/x/LoadModel",
    ],
)
def test_a_method_that_nobody_thought_of_takes_admin(method: str) -> None:
    assert needed(method) is Role.ADMIN


def test_every_entry_is_a_method_or_service_that_there_is() -> None:
    pool = descriptor_pool.Default()
    for name in NEEDS:
        service, _, method = name.strip("/").partition("/")
        if not service.startswith("grpc."):
            found = pool.FindServiceByName(service)
            assert not method or method in found.methods_by_name
