"""What a client can ask about the server and its models, and what changes under a sequence that is under way."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from seqserve.inference import grpc_service_pb2 as wire
from tests.fakes.inference import arrays, denied, in_sequence, request, stub, text, tokens
from tests.fakes.toy_bundles import write_toy_classifier
from tests.fakes.toy_server import Toys, serve_toys

GRAPH = "toy-intents.classify"
ADMIN: dict[str, Any] = {"admin": True}


async def best(toys: Toys, ids: list[int], **parameters: Any) -> int:
    answer = await stub(toys).ModelInfer(request(GRAPH, tokens(ids), **parameters))
    return int(arrays(answer)["log_probs"].argmax())


async def test_the_server_is_live_and_ready_and_says_what_works(toys: Toys) -> None:
    service = stub(toys)
    assert (await service.ServerLive(wire.ServerLiveRequest())).live
    assert (await service.ServerReady(wire.ServerReadyRequest())).ready
    metadata = await service.ServerMetadata(wire.ServerMetadataRequest())
    assert metadata.name == "seqserve"
    assert "model_repository" not in metadata.extensions


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [
        ("toy-intents", "", True),
        ("toy-intents", "1", True),
        (GRAPH, "", True),
        ("toy-intents", "2", False),
        ("toy-intents.step", "", False),
        ("nobody", "", False),
        ("", "", False),
    ],
)
async def test_a_model_is_ready_or_not(toys: Toys, name: str, version: str, ready: bool) -> None:
    answer = await stub(toys).ModelReady(wire.ModelReadyRequest(name=name, version=version))
    assert answer.ready is ready


async def test_metadata_and_configuration_agree_and_an_answer_looks_like_them(toys: Toys) -> None:
    service = stub(toys)
    for name, given in (
        ("toy-es-en", text("uno")),
        ("toy-intents", text("uno")),
        (GRAPH, tokens([4, 5])),
        ("toy-es-en.encode", tokens([4, 5])),
    ):
        metadata = await service.ModelMetadata(wire.ModelMetadataRequest(name=name))
        config = (await service.ModelConfig(wire.ModelConfigRequest(name=name))).config
        assert [(t.name, list(t.shape)) for t in metadata.inputs] == [
            (t.name, [-1, *t.dims]) for t in config.input
        ]
        assert [t.name for t in metadata.inputs] == list(given)
        answer = await service.ModelInfer(request(name, given))
        assert [t.name for t in answer.outputs] == [t.name for t in metadata.outputs]
        for tensor, told in zip(answer.outputs, metadata.outputs, strict=True):
            assert tensor.datatype == told.datatype
            assert len(tensor.shape) == len(told.shape)
            assert all(size in (-1, found) for size, found in zip(told.shape, tensor.shape, strict=True))


async def test_the_configuration_says_who_takes_sequences_and_which_state_is_kept(toys: Toys) -> None:
    async def config(name: str) -> Any:
        return (await stub(toys).ModelConfig(wire.ModelConfigRequest(name=name))).config

    graph = await config(GRAPH)
    assert graph.WhichOneof("scheduling_choice") == "sequence_batching"
    assert [state.input_name for state in graph.sequence_batching.state] == ["total"]
    assert graph.parameters["optional_inputs"].string_value == "lengths"
    assert (await config("toy-intents")).HasField("sequence_batching")
    assert (await config("two-way")).HasField("dynamic_batching")
    assert (await config("two-way-intents.classify")).HasField("dynamic_batching")


async def test_statistics_count_what_succeeded_and_what_failed(toys: Toys) -> None:
    await best(toys, [4])
    await stub(toys).ModelInfer(request(GRAPH, tokens([4], [5], [6])))
    async with denied("INVALID_ARGUMENT"):
        await stub(toys).ModelInfer(request(GRAPH, {"tokens": np.array([[-1]])}))
    [found] = (await stub(toys).ModelStatistics(wire.ModelStatisticsRequest(name=GRAPH))).model_stats
    assert (found.inference_count, found.execution_count) == (4, toys_batches(toys))
    assert (found.inference_stats.success.count, found.inference_stats.fail.count) == (2, 1)
    assert found.inference_stats.success.ns > 0
    assert found.inference_stats.compute_infer.count == found.inference_stats.compute_input.count
    every = (await stub(toys).ModelStatistics(wire.ModelStatisticsRequest())).model_stats
    assert {each.name for each in every} == {"toy-es-en", "toy-intents", "two-way", "two-way-intents"}
    async with denied("NOT_FOUND"):
        await stub(toys).ModelStatistics(wire.ModelStatisticsRequest(name="nobody"))


def toys_batches(toys: Toys) -> int:
    return len(toys.engine("toy-intents").batches)


@pytest.mark.parametrize(
    "method", ["SystemSharedMemoryStatus", "CudaSharedMemoryRegister", "TraceSetting", "LogSettings"]
)
async def test_what_is_not_there_says_so(toys: Toys, method: str) -> None:
    async with denied("UNIMPLEMENTED", "not offered|over the wire"):
        await getattr(stub(toys), method)(getattr(wire, f"{method}Request")())


async def test_without_administration_nothing_can_be_changed(toys: Toys) -> None:
    async with denied("PERMISSION_DENIED", "server.admin"):
        await stub(toys).RepositoryModelLoad(wire.RepositoryModelLoadRequest(model_name="toy-intents"))
    async with denied("PERMISSION_DENIED", "server.admin"):
        await stub(toys).RepositoryModelUnload(wire.RepositoryModelUnloadRequest(model_name="toy-intents"))


async def test_a_sequence_goes_on_with_its_version_while_another_is_loaded_and_its_own_unloaded(
    tmp_path: Path,
) -> None:
    async with serve_toys(tmp_path, server=ADMIN) as toys:
        service = stub(toys)
        await best(toys, [4], **in_sequence(1, starts=True))
        write_toy_classifier(tmp_path, version="2")
        await service.RepositoryModelLoad(wire.RepositoryModelLoadRequest(model_name="toy-intents"))
        unload = wire.RepositoryModelUnloadRequest(model_name="toy-intents")
        unload.parameters["version"].string_param = "1"
        await service.RepositoryModelUnload(unload)
        answer = await service.ModelInfer(request(GRAPH, tokens([5]), **in_sequence(1)))
        assert answer.model_version == "1"
        assert arrays(answer)["log_probs"].argmax() == (4 + 5) % 3
        fresh = await service.ModelInfer(request(GRAPH, tokens([5]), **in_sequence(2, starts=True)))
        assert fresh.model_version == "2"
        index = await service.RepositoryIndex(wire.RepositoryIndexRequest())
        assert ("toy-intents", "2", "READY") in {(m.name, m.version, m.state) for m in index.models}


async def test_a_model_that_is_not_there_cannot_be_unloaded(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, server=ADMIN) as toys:
        async with denied("NOT_FOUND"):
            await stub(toys).RepositoryModelUnload(wire.RepositoryModelUnloadRequest(model_name="nobody"))
        load = wire.RepositoryModelLoadRequest(model_name="toy-intents")
        load.parameters["config"].string_param = "{}"
        async with denied("INVALID_ARGUMENT", "as they are"):
            await stub(toys).RepositoryModelLoad(load)
        metadata = await stub(toys).ServerMetadata(wire.ServerMetadataRequest())
        assert "model_repository" in metadata.extensions


async def test_what_is_refused_stands_in_the_index_with_the_reason(tmp_path: Path) -> None:
    def write(models: Path) -> None:
        write_toy_classifier(models)
        broken = write_toy_classifier(models, "broken")
        (broken / "classify.onnx").write_text("changed")

    async with serve_toys(tmp_path, write) as toys:
        index = await stub(toys).RepositoryIndex(wire.RepositoryIndexRequest())
        [refused] = [model for model in index.models if model.state == "UNAVAILABLE"]
        assert (refused.name, refused.version) == ("broken", "1")
        assert "SHA-256" in refused.reason
        ready = await stub(toys).RepositoryIndex(wire.RepositoryIndexRequest(ready=True))
        assert [model.name for model in ready.models] == ["toy-intents"]


async def test_sequences_work_beside_a_store_and_leave_nothing_in_it(tmp_path: Path) -> None:
    store = {"kind": "sqlite", "path": str(tmp_path / "sessions.sqlite")}
    async with serve_toys(tmp_path / "models", store=store) as toys:
        assert await best(toys, [4], **in_sequence(1, starts=True)) == 1
        assert await best(toys, [5], **in_sequence(1)) == 0
        assert await toys.server.sessions.num_cold() == 0
        assert await best(toys, [6], **in_sequence(1, ends=True)) == 0
        async with denied("NOT_FOUND"):
            await best(toys, [6], **in_sequence(1))
        assert len(toys.server.sessions) == 0


async def test_a_full_house_says_when_to_try_again(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, sessions={"max_sessions": 2}) as toys:
        await best(toys, [4], **in_sequence(1, starts=True))
        await best(toys, [4], **in_sequence(2, starts=True))
        with pytest.raises(grpc.aio.AioRpcError, match="all 2 sessions") as full:
            await best(toys, [4], **in_sequence(3, starts=True))
        assert full.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await best(toys, [5], **in_sequence(1)) == 0


@pytest.mark.parametrize(
    ("name", "given", "num"),
    [
        ("toy-intents", text("uno dos", "tres"), 3),
        (GRAPH, tokens([4, 5, 6], [7, 8, 9]), 6),
        ("toy-es-en", text("uno dos"), 4),
    ],
)
async def test_an_answer_says_how_many_tokens_it_stands_for(
    toys: Toys, name: str, given: Any, num: int
) -> None:
    answer = await stub(toys).ModelInfer(request(name, given))
    assert answer.parameters["num_tokens"].int64_param == num


async def test_in_a_sequence_only_the_new_ones_count(toys: Toys) -> None:
    for ids in ([4, 5], [6]):
        answer = await stub(toys).ModelInfer(
            request(GRAPH, tokens(ids), **in_sequence(1, starts=len(ids) == 2))
        )
        assert answer.parameters["num_tokens"].int64_param == len(ids)


async def test_tokens_of_this_protocol_count_for_the_quota_too(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, quotas={"tokens_per_s": 0.1, "burst_s": 100.0}) as toys:
        service = stub(toys)
        await service.ModelConfig(wire.ModelConfigRequest(name=GRAPH))
        for _ in range(2):
            await service.ModelInfer(request(GRAPH, tokens([4, 5, 6, 7, 8, 9])))
        async with denied("RESOURCE_EXHAUSTED"):
            await service.ModelInfer(request(GRAPH, tokens([4])))
