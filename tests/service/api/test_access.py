"""The table of methods and roles."""

import pytest
from google.protobuf import descriptor_pool

from seqserve.v1 import model_pb2, sequence_pb2, session_pb2
from service.api.access import NEEDS, needed
from service.api.callers import Role

ADMINISTRATION = {"LoadModel", "UnloadModel"}
METHODS = [
    f"/{service.full_name}/{method.name}"
    for file in (sequence_pb2, session_pb2, model_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize("method", METHODS)
def test_each_of_our_methods_takes_a_role_and_changes_of_models_take_admin(method: str) -> None:
    is_administration = method.rpartition("/")[2] in ADMINISTRATION
    assert needed(method) is (Role.ADMIN if is_administration else Role.USE)


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
        if service.startswith("seqserve."):
            found = pool.FindServiceByName(service)
            assert not method or method in found.methods_by_name
