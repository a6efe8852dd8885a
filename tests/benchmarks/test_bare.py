from collections.abc import Sequence
from typing import Any

from benchmarks.bare import Loop, groups
from benchmarks.counters import Counters
from benchmarks.profile import CLIENT, CORE, ENCODE, STEP, sorted_out, spent
from benchmarks.window import Round
from benchmarks.work import Text


def text(source: int, num_tokens: int) -> Text:
    return Text("", tuple(range(source)), num_tokens)


TEXTS = [text(length, length) for length in (9, 3, 7, 5, 3, 9, 5, 7)]


class Counting(Loop):
    def __init__(self) -> None:
        self.encoded: list[Sequence[Text]] = []
        self.steps: list[int] = []

    def encode(self, group: Sequence[Text]) -> Any:
        self.encoded.append(group)

    def write(self, encoded: Any, batch: int, num_steps: int) -> None:
        self.steps.append(num_steps)


def test_a_perfect_scheduler_encodes_texts_of_one_length_together() -> None:
    assert sorted(len({len(text.source) for text in group}) for group in groups(TEXTS, 2)) == [1, 1, 1, 1]


def test_batches_are_always_full() -> None:
    assert [len(group) for group in groups(TEXTS, 3)] == [3, 3]
    assert [len(group) for group in groups(TEXTS, 16)] == [16]


def test_each_text_takes_a_step_for_each_token_and_one_for_its_end() -> None:
    loop = Counting()
    pace = loop.pace([text(4, 6)] * 4, 4, 0.0)
    assert (loop.steps, pace.num_tokens, pace.num_encodes, pace.num_steps) == ([7], 24, 1, 7)


# The profile


def test_a_sample_counts_for_the_innermost_place_that_is_known() -> None:
    counts = sorted_out(
        [
            "MainThread;_run (asyncio/events.py:84);answer (service/api/sequence.py:60);len (strange.py:1) 3",
            "seqserve;loop (service/scheduler/scheduler.py:9);run (service/engine/onnx.py:80) 2",
            "seqserve;run (service/engine/onnx.py:80);run (onnxruntime/capi/x.py:1) 5",
            "thread;wait (nowhere.py:1) 1",
        ]
    )
    assert counts == {"messages": 3, "stacking, splitting": 2, "graphs": 5, "other": 1}


def heard(server_cpu_s: float) -> Round:
    names = {"encode": 1.0, "step": 3.0}
    counted = Counters({("run_seconds_sum", graph, "m"): value for graph, value in names.items()})
    return Round(2.0, 1000, [], [], server_cpu_s, 0.5, counted)


def test_the_graphs_share_their_time_as_the_server_counted_it() -> None:
    found = spent(heard(3.0), "m", {"graphs": 0.8, "messages": 0.2})
    assert {name: round(us) for name, us in found.items()} == {
        ENCODE: 400,
        STEP: 1200,
        "messages": 400,
        CORE: 1000,
        CLIENT: 500,
    }


def test_threads_that_wait_for_a_core_do_not_make_a_token_dearer_than_it_was() -> None:
    found = spent(heard(1.0), "m", {"graphs": 0.8, "messages": 0.2})
    assert round(sum(found.values())) == 1000 + 500
