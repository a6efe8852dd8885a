"""Run by tests in an environment that has tritonclient and nothing of ours; prints what it saw as JSON.

python triton_script.py KIND ADDRESS
"""

import asyncio
import json
import sys
from functools import partial
from queue import Queue
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio
from tritonclient.grpc import model_config_pb2, service_pb2

GRAPH, TOTAL = "snips-intents.classify", "sum"
CUTS = ([10, 11], [12], [13, 14, 15], [9])


def ids(*numbers: int) -> list[Any]:
    tensor = triton.InferInput("tokens", [1, len(numbers)], "INT64")
    tensor.set_data_from_numpy(np.array([numbers], np.int64))
    return [tensor]


def number(value: int) -> list[Any]:
    tensor = triton.InferInput("numbers", [1, 1], "INT32")
    tensor.set_data_from_numpy(np.array([[value]], np.int32))
    return [tensor]


def place(index: int, of: int, sequence: int | str) -> dict[str, Any]:
    return {"sequence_id": sequence, "sequence_start": index == 0, "sequence_end": index == of - 1}


def bits(result: Any) -> str:
    return str(result.as_numpy("log_probs").tobytes().hex())


def sync(address: str) -> Any:
    """Pieces, whole, and the sequences of Triton's own example: two that count up, interleaved."""
    with triton.InferenceServerClient(address) as client:
        pieces = [client.infer(GRAPH, ids(*cut), **place(i, len(CUTS), 7)) for i, cut in enumerate(CUTS)]
        whole = client.infer(GRAPH, ids(*(number for cut in CUTS for number in cut)))
        sums: dict[str, list[int]] = {"one": [], "two": []}
        for index in range(5):
            for sequence, sign in (("one", 1), ("two", -1)):
                result = client.infer(TOTAL, number(sign * (index + 1)), **place(index, 5, sequence))
                sums[sequence].append(int(result.as_numpy("total")[0, 0]))
        return {"same": bits(pieces[-1]) == bits(whole), "sums": sums, "ready": client.is_model_ready(GRAPH)}


def urgent(address: str) -> Any:
    """What is said of a request beside its tensors: it is urgent, or it may take a microsecond."""
    with triton.InferenceServerClient(address) as client:
        plain, first = client.infer(GRAPH, ids(10)), client.infer(GRAPH, ids(10), priority=1)
        try:
            client.infer(GRAPH, ids(10), timeout=1)
        except triton.InferenceServerException as error:
            return {"same": bits(plain) == bits(first), "late": error.status()}
        return {"late": "answered"}


async def asynchronous(address: str) -> Any:
    """Forty sequences at once, as unary calls of one channel."""

    async def counted(client: Any, sequence: int) -> int:
        for index in range(10):
            result = await client.infer(TOTAL, number(sequence), **place(index, 10, sequence))
        return int(result.as_numpy("total")[0, 0])

    async with aio.InferenceServerClient(address) as client:
        totals = await asyncio.gather(*(counted(client, sequence) for sequence in range(1, 41)))

        async def requests() -> Any:
            for index in range(10):
                yield {"model_name": TOTAL, "inputs": number(index), **place(index, 10, "stream")}

        streamed = []
        async for result, error in client.stream_infer(requests()):
            streamed.append(str(error) if error else int(result.as_numpy("total")[0, 0]))
        return {"totals": totals, "streamed": streamed}


def streaming(address: str) -> Any:
    """Two sequences and a request that is wrong, all on one stream without waiting."""
    answers: Queue[Any] = Queue()
    with triton.InferenceServerClient(address) as client:
        client.start_stream(callback=partial(lambda result, error: answers.put((result, error))))
        for index in range(8):
            for sequence in (100, 200):
                client.async_stream_infer(
                    TOTAL,
                    number(sequence + index),
                    request_id=f"{sequence}_{index}",
                    **place(index, 8, sequence),
                )
        client.async_stream_infer(TOTAL, number(1), request_id="lost", sequence_id=999)
        client.async_stream_infer(TOTAL, number(5), request_id="alone")
        found, order, errors = {}, [], []
        for _ in range(18):
            result, error = answers.get(timeout=60)
            if error:
                errors.append(error.message())
            else:
                name = result.get_response().id
                order.append(name)
                found[name] = int(result.as_numpy("total")[0, 0])
        client.stop_stream()
        return {"found": found, "order": order, "errors": errors}


def about(address: str) -> Any:
    """What a client can ask about the server and its models."""
    with triton.InferenceServerClient(address) as client:
        metadata = client.get_server_metadata(as_json=True)
        client.infer(TOTAL, number(1))
        statistics = client.get_inference_statistics(TOTAL, as_json=True)["model_stats"][0]
        unsupported = []
        for call in (
            client.get_system_shared_memory_status,
            client.get_trace_settings,
            client.get_log_settings,
        ):
            try:
                call()
            except triton.InferenceServerException as error:
                unsupported.append([error.status(), error.message()])
        return {
            "extensions": metadata["extensions"],
            "config": client.get_model_config(TOTAL, as_json=True)["config"],
            "statistics": statistics,
            "index": client.get_model_repository_index(as_json=True)["models"],
            "unsupported": unsupported,
        }


def wire(address: str) -> Any:
    """Triton's messages: name → field → number, type, whether it repeats."""
    found: dict[str, dict[str, list[Any]]] = {}

    def add(message: Any) -> None:
        found[message.full_name] = {
            field.name: [field.number, field.type, field.is_repeated] for field in message.fields
        }
        for nested in message.nested_types:
            add(nested)

    for file in (service_pb2, model_config_pb2):
        for message in file.DESCRIPTOR.message_types_by_name.values():
            add(message)
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    return {"messages": found, "methods": [method.name for method in service.methods]}


if __name__ == "__main__":
    kind, address = sys.argv[1:]
    seen = asyncio.run(asynchronous(address)) if kind == "asynchronous" else globals()[kind](address)
    print(json.dumps(seen))
