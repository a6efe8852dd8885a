"""A graph that fails while a model is served: who is told so, what is lost (nothing), what health says of the model.

The graph is real (`tests.fakes.faulty_graphs`), and so are ONNX Runtime and the port.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from seqserve.v1 import sequence_pb2 as pb
from tests.fakes.faulty_graphs import ENDLESS, NAN, THROWS, write_faulty
from tests.fakes.health import part_up, parts_of, until_part
from tests.fakes.toy_server import Toys, serve_toys, write_toys
from tests.fakes.waiting import until
from tests.fakes.wire import model, refused, talking, translate

FAULTY = "faulty/1"
SHORT = {"max_run_s": 0.5}


@asynccontextmanager
async def serve_faulty(folder: Path, **pieces: dict[str, Any]) -> AsyncIterator[Toys]:
    """The toys, and beside them the model that fails on demand, on ONNX Runtime."""

    def write(models: Path) -> None:
        write_toys(models)
        write_faulty(models)

    async with serve_toys(folder, write, real=("faulty",), **pieces) as toys:
        yield toys


async def labels(toys: Toys, *texts: str) -> list[str]:
    answer = await toys.sequence.Classify(pb.ClassifyRequest(model=model("faulty"), texts=texts))
    return [each.labels[0].label for each in answer.classifications]


@pytest.mark.parametrize("word", [NAN, THROWS])
async def test_only_who_sent_what_a_graph_fails_on_is_told_so(tmp_path: Path, word: str) -> None:
    async with serve_faulty(tmp_path) as toys:
        well = [asyncio.create_task(labels(toys, text)) for text in ("uno", "dos", "tres uno")]
        answer = await refused(labels(toys, f"uno {word}"))
        assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "STEP_FAILED")
        assert [await each for each in well] == [[label] for label in ("play", "stop", "play")]
        assert await labels(toys, "uno") == ["play"]


@pytest.mark.parametrize("word", [NAN, THROWS])
async def test_a_session_whose_step_failed_goes_on_from_where_it_stood(tmp_path: Path, word: str) -> None:
    async with serve_faulty(tmp_path) as toys:
        async with talking(toys, "faulty") as (talk, opened):
            before = await talk.feed("uno ")
            answer = await refused(talk.feed(f"{word} dos "))
            assert answer.reason == "STEP_FAILED"
        async with talking(toys, session_id=opened.session_id) as (talk, resumed):
            assert resumed.input_position == before.input_position
            after = await talk.feed("dos tres ")
        async with talking(toys, "faulty") as (talk, _):
            await talk.feed("uno ")
            assert (await talk.feed("dos tres ")).SerializeToString() == after.SerializeToString()


async def test_what_callers_send_does_not_make_a_model_look_broken(tmp_path: Path) -> None:
    """However often a text fails: the graph is tried with a blank step before health says anything."""
    async with serve_faulty(tmp_path) as toys:
        for _ in range(5):
            await refused(labels(toys, NAN))
        for _ in range(25):
            assert (await parts_of(toys))[FAULTY]
            await asyncio.sleep(0.1)


async def test_a_graph_that_does_not_end_is_ended_and_the_other_models_do_not_notice(tmp_path: Path) -> None:
    async with serve_faulty(tmp_path, scheduler=SHORT) as toys:
        endless = asyncio.create_task(refused(labels(toys, ENDLESS)))
        for _ in range(5):
            assert await translate(toys, "uno") == ["one"]
        await until_part(toys, FAULTY, works=False)
        assert part_up(toys, FAULTY) == 0
        answer = await endless
        assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "STEP_FAILED")
        assert await labels(toys, "uno") == ["play"]
        await until_part(toys, FAULTY, works=True)
        assert all((await parts_of(toys)).values())


async def test_a_server_drains_past_a_graph_that_does_not_end(tmp_path: Path) -> None:
    async with serve_faulty(tmp_path, server={"grace_s": 0.5}) as toys:
        endless = asyncio.create_task(refused(labels(toys, ENDLESS)))
        await until(lambda: toys.jobs_active(FAULTY) == 1)
        await asyncio.wait_for(toys.server.drain(), 60)
        assert (await endless).code is grpc.StatusCode.UNAVAILABLE


async def test_a_model_none_of_whose_batches_run_is_not_serving_until_one_does(tmp_path: Path) -> None:
    broken = True

    def fail(graph: str, rows: int) -> None:
        if broken:
            raise RuntimeError("the graph is broken")

    async with serve_toys(tmp_path) as toys:
        toys.engine().on_batch = fail
        for _ in range(3):
            answer = await refused(translate(toys, "uno"))
            assert answer.reason == "STEP_FAILED"
        await until_part(toys, "toy-es-en/1", works=False)
        assert part_up(toys, "toy-es-en/1") == 0
        told = await parts_of(toys)
        assert [name for name, works in told.items() if not works] == ["toy-es-en/1"], (
            "the others serve, and the whole"
        )
        broken = False
        await until_part(toys, "toy-es-en/1", works=True)
        assert await translate(toys, "uno") == ["one"]


async def test_a_bundle_that_is_refused_at_the_start_is_told_of_and_the_others_serve(tmp_path: Path) -> None:
    def write(models: Path) -> None:
        write_toys(models)
        (models / "two-way" / "1" / "manifest.json").write_text("{}")

    async with serve_toys(tmp_path, write) as toys:
        told = await parts_of(toys)
        assert [name for name, works in told.items() if not works] == ["two-way/1"]
        assert part_up(toys, "two-way/1") == 0
        assert await translate(toys, "uno") == ["one"]
