"""Models that come and go beside live sessions."""

import asyncio
import shutil
from pathlib import Path

import grpc
from google.protobuf import duration_pb2

from seqserve.v1 import model_pb2, session_pb2
from tests.fakes.toy_bundles import write_toy_translator
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import Talk, model, refused, talking

UNLOAD = model_pb2.UnloadModelRequest(name="toy-es-en", version="1")


def one(models: Path) -> None:
    write_toy_translator(models)


async def load_second(toys: Toys, models: Path) -> None:
    """Load a version 2 of the translator."""
    shutil.copytree(models / "toy-es-en/1", models / "toy-es-en/2")
    manifest = models / "toy-es-en/2/manifest.json"
    text = manifest.read_text()
    manifest.write_text(
        text.replace('"version": "1"', '"version": "2"').replace('"version":"1"', '"version":"2"')
    )
    loaded = await toys.models.LoadModel(model_pb2.LoadModelRequest(name="toy-es-en"))
    assert loaded.model.model.version == "2"


async def test_administration_is_off(toys: Toys) -> None:
    for call in (
        toys.models.LoadModel(model_pb2.LoadModelRequest(name="toy-es-en")),
        toys.models.UnloadModel(UNLOAD),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED")


async def test_sessions_stay_with_their_version(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, one, server={"admin": True}) as toys, talking(toys) as (old, opened):
        await old.feed("uno ")
        await load_second(toys, tmp_path)
        async with talking(toys) as (_, new):
            assert (opened.model.version, new.model.version) == ("1", "2")
        assert (await toys.models.UnloadModel(UNLOAD)).num_sessions == 1
        answer = await refused(
            Talk(toys.sequence.Session()).say(open=session_pb2.Open(model=model(version="1")))
        )
        assert answer.code is grpc.StatusCode.NOT_FOUND
        await old.feed("dos ")
        assert (await old.generate())[-1].hypotheses[0].text == "one two"
        await old.say(close=session_pb2.Close())
        await until_gone(toys)


async def test_sessions_are_told_when_the_deadline_has_passed(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, one, server={"admin": True}) as toys, talking(toys) as (talk, _):
        await talk.feed("uno ")
        unload = model_pb2.UnloadModelRequest(
            name="toy-es-en", version="1", deadline=duration_pb2.Duration(nanos=1)
        )
        await toys.models.UnloadModel(unload)
        assert (await talk.hear()).reason == session_pb2.EVICTED_REASON_MODEL_UNLOADED
        await until_gone(toys)
        assert (await refused(toys.models.UnloadModel(UNLOAD))).code is grpc.StatusCode.NOT_FOUND
        await toys.models.LoadModel(model_pb2.LoadModelRequest(name="toy-es-en", version="1"))
        async with talking(toys):
            pass


async def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, one, server={"admin": True}) as toys:
        for name, code in (
            ("toy-es-en", grpc.StatusCode.FAILED_PRECONDITION),
            ("x", grpc.StatusCode.NOT_FOUND),
        ):
            answer = await refused(toys.models.LoadModel(model_pb2.LoadModelRequest(name=name)))
            assert answer.code is code


async def until_gone(toys: Toys) -> None:
    while toys.server.registry._retired:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
