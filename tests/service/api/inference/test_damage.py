"""Requests that were good until something in them was changed: refused with a reason, or answered; never a fault."""

import random
from collections import Counter
from collections.abc import Callable

import grpc
import numpy as np
import pytest

from seqserve.inference import grpc_service_pb2 as wire
from tests.fakes.inference import in_sequence, request, stub, text, tokens
from tests.fakes.toy_server import Toys

NUM = 300
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
SIZES = (-(2**63), -1, 0, 1, 2, 3, 64, 65, 2**31, 2**62)
NAMES = ("", "text", "tokens", "lengths", "memory", "total", "k", "x" * 1000, "token")
DATATYPES = ("", "INT64", "INT32", "FP32", "FP16", "BYTES", "BOOL", "UINT64", "int64")
MODELS = (
    "toy-es-en",
    "toy-intents",
    "toy-intents.classify",
    "two-way.encode",
    "two-way-intents",
    "..",
    ".classify",
)
PARAMETERS = (
    "sequence_id",
    "sequence_start",
    "sequence_end",
    "timeout",
    "priority",
    "beam_size",
    "num_labels",
)


def good() -> list[wire.ModelInferRequest]:
    return [
        request("toy-es-en", text("uno dos"), beam_size=2),
        request("toy-intents", text("uno", "dos"), raw=False),
        request("toy-intents", text("uno "), **in_sequence("s", starts=True)),
        request("toy-intents.classify", tokens([4, 5], [6, 7])),
        request("toy-intents.classify", tokens([4, 5]), raw=False, **in_sequence(3, starts=True)),
        request("toy-intents.classify", tokens([4, 5]) | {"lengths": np.array([1])}, wanted=("log_probs",)),
        request("toy-es-en.encode", tokens([4, 5]), **in_sequence("a", starts=True)),
    ]


def _shape(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    del one.inputs[0].shape[:]
    one.inputs[0].shape.extend(rnd.choices(SIZES, k=rnd.randrange(4)))


def _model(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    one.model_name = rnd.choice(MODELS)


def _name(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    one.inputs[0].name = rnd.choice(NAMES)


def _datatype(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    one.inputs[0].datatype = rnd.choice(DATATYPES)


def _bytes(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    if one.raw_input_contents:
        one.raw_input_contents[0] = rnd.randbytes(rnd.choice((0, 1, 8, 16, 24)))


def _contents(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    one.inputs[0].contents.int64_contents.append(rnd.choice((-1, 4, 2**62)))


def _parameter(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    chosen = one.parameters[rnd.choice(PARAMETERS)]
    kind, value = rnd.choice(
        (("int64_param", -1), ("int64_param", 2**62), ("string_param", "7"), ("double_param", float("nan")))
    )
    setattr(chosen, kind, value)


def _input(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    one.inputs.add(name=rnd.choice(NAMES), datatype="INT64", shape=[1, 1])
    if one.raw_input_contents and rnd.random() < 0.7:
        one.raw_input_contents.append(bytes(8))


def _output(one: wire.ModelInferRequest, rnd: random.Random) -> None:
    one.outputs.add(name=rnd.choice((*NAMES, "log_probs", "label")))


DAMAGES: tuple[Callable[[wire.ModelInferRequest, random.Random], None], ...] = (
    *(_shape, _model, _name, _datatype, _bytes, _contents, _parameter, _input, _output),
)


@pytest.mark.parametrize("seed", range(3))
async def test_a_damaged_request_is_never_a_fault(toys: Toys, seed: int) -> None:
    rnd, service, codes = random.Random(seed), stub(toys), Counter[str]()
    for _ in range(NUM):
        one = rnd.choice(good())
        for damage in rnd.choices(DAMAGES, k=rnd.randint(1, 2)):
            damage(one, rnd)
        call = service.ModelInfer(one, timeout=30)
        code = await call.code()
        assert code not in FAULTS, f"{await call.details()}: {one}"
        codes[code.name] += 1
    assert codes["OK"]
    assert codes["INVALID_ARGUMENT"]
    for fine in good():
        await service.ModelInfer(fine, timeout=30)
