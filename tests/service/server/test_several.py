"""One encoder, several decoders: bundles that name another's graph, and requests to all of them at once."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from service.bundle import Bundle
from service.bundle.weights import WEIGHTS
from service.client import AsyncClient, Client, InvalidRequest
from service.config import EngineSettings, Settings
from service.engine.onnx import GraphPool, OnnxEngine
from service.errors import BundleRefused
from service.server import Server
from tests.bundles import write_sharers, write_translator
from tests.fakes.real_thread import real_on_a_thread

TEXTS = ["the cat sits on the mat", "play some jazz music on the radio", "the cat sits on the mat"]
TARGETS = ["de", "fr", "cs"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_sharers(folder, TARGETS)
    return folder


@pytest.fixture
async def server(models: Path) -> AsyncIterator[Server]:
    flags = {"server": {"port": 0}, "models": {"repository": str(models)}, "metrics": {"port": None}}
    server = Server(Settings.load(None, flags))
    await server.start()
    try:
        yield server
    finally:
        await server.drain()


async def test_texts_are_read_once_and_every_model_writes_what_it_writes_alone(server: Server) -> None:
    async with AsyncClient(server.address) as client:
        found = await client.translate_into(TEXTS, TARGETS, beam_size=2)
        assert found.num_readings == len(TEXTS)
        for target in TARGETS:
            alone = await client.translate(TEXTS, target=target, beam_size=2)
            assert found[target] == alone
        assert len({found[target][0].text for target in TARGETS}) == len(TARGETS)


async def test_models_with_encoders_of_their_own_read_for_themselves(models: Path, tmp_path: Path) -> None:
    write_sharers(tmp_path, ["de", "fr"])
    write_translator(tmp_path, "own")
    flags = {"server": {"port": 0}, "models": {"repository": str(tmp_path)}, "metrics": {"port": None}}
    server = Server(Settings.load(None, flags))
    await server.start()
    try:
        async with AsyncClient(server.address) as client:
            found = await client.translate_into(TEXTS[:2], ["de", "fr", "en"])
            assert found.num_readings == 4
            assert found["en"] == await client.translate(TEXTS[:2], model="own")
    finally:
        await server.drain()


async def test_what_is_asked_is_checked(server: Server) -> None:
    async with AsyncClient(server.address) as client:
        with pytest.raises(InvalidRequest, match="1 to 16 are wanted, not 0"):
            await client.translate_into("the cat", [])
        with pytest.raises(InvalidRequest, match=r"models\[1\] is en-de/1 once more"):
            await client.translate_into("the cat", ["de", "de"])
        with pytest.raises(InvalidRequest, match=r"texts\[1\]"):
            await client.translate_into(["the cat", " "], ["de"])


def test_a_bundle_without_a_graph_of_its_own_is_smaller_and_equal_graphs_are_loaded_once(
    models: Path,
) -> None:
    lender, borrower = (Bundle.read(models / name / "1") for name in ("en-de", "en-fr"))
    assert not (borrower.path / "encode.onnx").exists()
    assert borrower.graph_hash("encode") == lender.graph_hash("encode")
    pool = GraphPool(EngineSettings(threads=1))
    engines = [OnnxEngine(bundle, EngineSettings(threads=1), pool) for bundle in (lender, borrower)]
    assert len(pool) == 3
    engines[0].close()
    assert len(pool) == 2, "the encoder is the borrower's, too; the lender's decoder is gone"
    engines[1].warm_up()
    engines[1].close()
    assert len(pool) == 0


def test_the_lender_may_be_unloaded_while_its_encoder_is_used(models: Path) -> None:
    pool = GraphPool(EngineSettings(threads=1))
    lender, borrower = (
        OnnxEngine(Bundle.read(models / name / "1"), EngineSettings(threads=1), pool)
        for name in ("en-de", "en-fr")
    )
    lender.close()
    borrower.warm_up()


def _changed(lender: Path) -> None:
    graph = lender / "encode.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")


def _gone(lender: Path) -> None:
    lender.rename(lender.with_name("2"))


def _linked(lender: Path) -> None:
    lender.rename(lender.with_name("2"))
    lender.symlink_to(lender.with_name("2"))


def _linked_file(lender: Path) -> None:
    graph = lender / "encode.onnx"
    graph.rename(lender / "other.onnx")
    graph.symlink_to(lender / "other.onnx")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_changed, "whose encode.onnx is another one now"),
        (_gone, "which is not in the repository"),
        (_linked, "is a link; bundles are plain folders"),
        (_linked_file, "encode.onnx: is a link"),
    ],
)
def test_a_graph_that_is_not_there_as_it_was_is_refused_with_the_reason(
    tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    lender, borrower = write_sharers(tmp_path)
    change(lender)
    with pytest.raises(BundleRefused, match=f"graphs.encode: is taken from en-de/1.*{reason}"):
        Bundle.read(borrower)


def test_a_lender_that_keeps_its_weights_beside_its_graphs_lends_the_same_graph(tmp_path: Path) -> None:
    lender, borrower = write_sharers(tmp_path)
    keep_beside(lender, "encode.onnx")
    assert Bundle.read(lender).graph_hash("encode") == Bundle.read(borrower).graph_hash("encode")
    assert Bundle.read(lender).read_graph("encode") == Bundle.read(borrower).read_graph("encode")
    pool = GraphPool(EngineSettings(threads=1))
    engines = [OnnxEngine(Bundle.read(path), EngineSettings(threads=1), pool) for path in (lender, borrower)]
    assert len(pool) == 3
    engines[1].warm_up()
    (lender / WEIGHTS).write_bytes(b"x" + (lender / WEIGHTS).read_bytes()[1:])
    with pytest.raises(BundleRefused, match=r"whose encode\.onnx is another one now"):
        Bundle.read(borrower)


def keep_beside(folder: Path, file: str) -> None:
    """Take the weights of a graph out of its file, as the onnx library does it."""
    model = onnx.load(folder / file)
    onnx.save(model, folder / file, save_as_external_data=True, location=WEIGHTS, size_threshold=1024)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    for name in (file, WEIGHTS):
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


@pytest.mark.parametrize("name", ["../other", "a/b", ".", ""])
def test_a_lender_is_a_name_and_no_path(tmp_path: Path, name: str) -> None:
    _, borrower = write_sharers(tmp_path)
    manifest: dict[str, Any] = json.loads((borrower / "manifest.json").read_text("utf-8"))
    manifest["graphs"]["encode"]["taken_from"]["model"] = name
    (borrower / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleRefused, match=r"graphs.encode.taken_from.model"):
        Bundle.read(borrower)


def test_clients_that_block_can_do_it_too(models: Path) -> None:
    with real_on_a_thread(models) as address, Client(address) as client:
        found = client.translate_into("the cat sits", ["fr", "de"])
        assert list(found.by_target) == ["fr", "de"]
        assert found["de"][0].text == client.translate("the cat sits", target="de").text
