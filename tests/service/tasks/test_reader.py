from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.manifest import Manifest
from service.bundle.tokenizer import EOS
from service.registry import Served
from service.sessions import NOTHING_READ
from service.step import NOTHING, Result
from service.tasks.jobs import run, run_all
from service.tasks.reader import MAX_CHUNK, Reader
from tests.fakes.toy_server import engine_of
from tests.fakes.toy_translator import encode

tokens = st.lists(st.integers(4, 12), min_size=1, max_size=20)


def streaming(manifest: Manifest, streams: bool) -> Manifest:
    return manifest.model_copy(update={"streams": streams})


async def test_a_model_that_reads_both_ways_gets_the_whole_text_at_once(translator: Served) -> None:
    reader = Reader.of(streaming(translator.manifest, False), "encode")
    await run(translator.scheduler, reader.read([4] * 500, NOTHING_READ))
    assert engine_of(translator).rows["encode"] == 1


async def test_a_model_that_streams_gets_chunks_that_keep_nobody_waiting(translator: Served) -> None:
    reader = Reader.of(translator.manifest, "encode")
    await run(translator.scheduler, reader.read([4] * (2 * MAX_CHUNK + 1), NOTHING_READ))
    assert engine_of(translator).rows["encode"] == 3


@given(tokens, st.integers(1, 21), st.lists(st.integers(0, 20)))
def test_a_text_read_in_chunks_is_the_text_read_at_once(text: list[int], chunk: int, cuts: list[int]) -> None:
    reader = Reader("encode", "tokens", chunk, {"memory": 0}, frozenset())
    reading = NOTHING_READ
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
        program: Any = reader.read(text[start:end], reading)
        try:
            [step] = next(program)
            while True:
                [step] = program.send([encode(step)])
        except StopIteration as stop:
            reading, _ = stop.value
    whole = np.array(text) * 1000 + np.arange(len(text))
    assert reading.context({"memory": 0})["memory"].tolist() == whole.tolist()
    assert reading.num_tokens == len(text)
    assert reading.state["num_read"].tolist() == [len(text)]


async def test_a_reading_stays_as_it_was_when_it_is_read_on(translator: Served) -> None:
    reader = Reader.of(translator.manifest, "encode")
    first, _ = await run(translator.scheduler, reader.read([4], NOTHING_READ))
    before = replace(first)
    programs = [reader.read([5], first), reader.read([6, EOS], first)]
    (one, _), (other, _) = await run_all(translator.scheduler, programs)
    assert first == before
    assert one.context(reader.contexts)["memory"].tolist() == [4000, 5001]
    assert other.context(reader.contexts)["memory"].tolist() == [4000, 6001, EOS * 1000 + 2]


async def test_nothing_to_read_takes_no_step(translator: Served) -> None:
    reader = Reader.of(translator.manifest, "encode")
    read = await run(translator.scheduler, reader.read([], NOTHING_READ))
    assert read.reading is NOTHING_READ
    assert read.outputs == ()
    assert engine_of(translator).rows == {}


def test_a_context_without_a_ragged_axis_is_taken_as_it_came_last() -> None:
    reading = NOTHING_READ
    for value in (1, 2):
        reading = reading.then(Result(NOTHING, NOTHING, {"summary": np.array([value])}), 1)
    assert reading.context({})["summary"].tolist() == [2]


@pytest.mark.parametrize("num", [1, 5])
async def test_outputs_do_not_keep_the_batch_alive(classifier: Served, num: int) -> None:
    reader = Reader.of(classifier.manifest, "classify")
    reading, _ = await run(classifier.scheduler, reader.read([4] * num, NOTHING_READ))
    assert reading.outputs["log_probs"].base is None
