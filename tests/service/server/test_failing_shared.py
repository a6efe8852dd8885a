"""What several share fails: weights of a bundle's graphs, the encoder of several decoders, the stream of many calls.

The graphs are real, and so are ONNX Runtime and the port.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqserve.v1 import model_pb2
from service.bundle.weights import WEIGHTS
from service.client import AsyncClient, ClientError
from tests.bundles import write_language_model, write_sharers
from tests.fakes.faulty_graphs import NAN, THROWS, write_faulty
from tests.fakes.health import part_up, parts_of
from tests.fakes.toy_server import Toys, serve_toys, write_toys
from tests.fakes.wire import refused, translate

TEXT, TARGETS = "toy-text", ("de", "fr", "cs")
SHARERS = tuple(f"en-{target}" for target in TARGETS)


def with_weights_shared(models: Path) -> None:
    write_toys(models)
    folder = write_language_model(models, TEXT, encoder={"hidden": 48})
    assert (folder / WEIGHTS).exists()


async def written(toys: Toys) -> str:
    async with AsyncClient(toys.server.address) as client:
        return (await client.generate("the cat", model=TEXT, max_length=12)).text


async def why_not_loaded(toys: Toys, name: str) -> str:
    """What is said to who unloads a model and loads it again."""
    await toys.models.UnloadModel(model_pb2.UnloadModelRequest(name=name, version="1"))
    load = model_pb2.LoadModelRequest(name=name, version="1")
    async with asyncio.timeout(20):
        while "is served already" in (answer := await refused(toys.models.LoadModel(load))).message:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert answer.reason == "BUNDLE_REFUSED"
    return answer.message


def cut(file: Path) -> None:
    with file.open("r+b") as weights:
        weights.truncate(file.stat().st_size // 2)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty, Path.unlink])
async def test_shared_weights_that_are_damaged_while_they_are_served_are_refused_when_they_are_loaded_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """What is served lies in memory; what comes is read anew."""
    async with serve_toys(tmp_path, with_weights_shared, real=(TEXT,), server={"admin": True}) as toys:
        before, file = await written(toys), tmp_path / TEXT / "1" / WEIGHTS
        whole = file.read_bytes()
        damage(file)
        assert await written(toys) == before
        assert all((await parts_of(toys)).values())
        assert WEIGHTS in await why_not_loaded(toys, TEXT)
        assert await translate(toys, "uno") == ["one"]
        file.write_bytes(whole)
        await toys.models.LoadModel(model_pb2.LoadModelRequest(name=TEXT))
        assert await written(toys) == before


@pytest.mark.parametrize("damage", [cut, flip, empty, Path.unlink])
async def test_shared_weights_that_are_damaged_at_the_start_are_told_of_and_the_other_models_serve(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    def write(models: Path) -> None:
        with_weights_shared(models)
        damage(models / TEXT / "1" / WEIGHTS)

    async with serve_toys(tmp_path, write, real=(TEXT,)) as toys:
        assert part_up(toys, f"{TEXT}/1") == 0
        assert (await parts_of(toys))[f"{TEXT}/1"] is False
        assert WEIGHTS in toys.server.registry.refused[f"{TEXT}/1"]
        assert await translate(toys, "uno") == ["one"]


@pytest.fixture(scope="module")
def sharers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharers")
    write_sharers(folder, TARGETS)
    return folder


async def into(toys: Toys, *targets: str) -> list[str]:
    async with AsyncClient(toys.server.address, max_attempts=1) as client:
        found = await client.translate_into(["the cat sits"], targets, source="en")
        return [found[target][0].text for target in targets]


async def test_an_encoder_that_is_damaged_while_it_is_shared_harms_no_decoder_that_is_served(
    tmp_path: Path, sharers: Path
) -> None:
    shutil.copytree(sharers, tmp_path, dirs_exist_ok=True)
    async with serve_toys(tmp_path, real=SHARERS, server={"admin": True}) as toys:
        before = await into(toys, *TARGETS)
        cut(tmp_path / "en-de" / "1" / "encode.onnx")
        assert await into(toys, *TARGETS) == before
        for name in SHARERS:  # the lender, and who borrows of it
            assert "encode.onnx" in await why_not_loaded(toys, name)
        assert await translate(toys, "uno") == ["one"]


async def test_of_several_decoders_on_one_encoder_one_that_is_damaged_is_refused_alone(
    tmp_path: Path, sharers: Path
) -> None:
    shutil.copytree(sharers, tmp_path, dirs_exist_ok=True)
    [decoder] = {file.name for file in (tmp_path / "en-fr" / "1").glob("*.onnx")} - {"encode.onnx"}
    cut(tmp_path / "en-fr" / "1" / decoder)
    async with serve_toys(tmp_path, real=SHARERS) as toys:
        assert {name for name, works in (await parts_of(toys)).items() if not works} == {"en-fr/1"}
        assert all(await into(toys, "de", "cs"))
        with pytest.raises(ClientError):
            await into(toys, *TARGETS)


@pytest.mark.parametrize("word", [NAN, THROWS])
async def test_a_graph_that_fails_for_one_call_of_a_stream_fails_for_no_other_in_it(
    tmp_path: Path, word: str
) -> None:
    def write(models: Path) -> None:
        write_toys(models)
        write_faulty(models)

    async def said(client: AsyncClient, *words: str) -> list[Any]:
        async with client.session(model="faulty") as session:
            return [await session.feed(f"{each} ") for each in words]

    async with serve_toys(tmp_path, write, real=("faulty",)) as toys:
        async with AsyncClient(toys.server.address) as client:
            alone = await said(client, "uno", "dos", "tres")
        async with AsyncClient(toys.server.address, multiplex=True) as client:
            well = [asyncio.create_task(said(client, "uno", "dos", "tres")) for _ in range(8)]
            with pytest.raises(ClientError, match="graph classify failed"):
                await said(client, "uno", word)
            assert [await each for each in well] == [alone] * 8
            assert (await client.stream_translate("uno", model="toy-es-en").finish()).text == "one"
        assert all((await parts_of(toys)).values())
