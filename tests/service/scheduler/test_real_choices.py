"""Rollouts that draw, obey rules and tell more, on ONNX Runtime: each is what it is alone, whoever shares its batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bundle import Bundle
from service.config import EngineSettings, SchedulerSettings
from service.engine.onnx import OnnxEngine
from service.metrics import Metrics
from service.scheduler import Scheduler
from service.step import Result, Rolled, Rollout, Step
from service.tasks.decoding import DecodingOptions, GreedySearch, Plan
from tests.bundles import write_translator
from tests.fakes.rolling_sum import Heard, Rolling


@dataclass(repr=False)
class Model:
    bundle: Bundle
    engine: OnnxEngine
    reads: Sequence[Result]
    """Texts of very different lengths."""

    def rollout(self, text: int, options: DecodingOptions, *, tells_all: bool) -> Rollout:
        plan = Plan.of(self.bundle, options)
        if not tells_all:  # as bundles were before their graphs told everything
            plan = replace(plan, wiring=replace(plan.wiring, everything=""))
        read = self.reads[text]
        ask = next(GreedySearch(read.state, read.context, plan).program(None))
        assert isinstance(ask, Rollout)
        return ask

    def run(self, rollouts: Sequence[Rollout], max_batch: int) -> list[tuple[Any, ...]]:
        """What became of each, and what its sink was told."""
        sinks = [Heard() for _ in rollouts]
        jobs = [Rolling(replace(each, sink=sink)) for each, sink in zip(rollouts, sinks, strict=True)]
        scheduler = Scheduler(self.engine, SchedulerSettings(max_batch=max_batch), Metrics(), "real")
        try:
            for job in jobs:
                scheduler.submit(job)
            for job in jobs:
                job.wait()
        finally:
            scheduler.close()  # all mail is delivered
        return [outcome(job, sink) for job, sink in zip(jobs, sinks, strict=True)]


def outcome(job: Rolling, sink: Heard) -> tuple[Any, ...]:
    assert job.wait().error is None
    [rolled] = job.told
    assert isinstance(rolled, Rolled)
    state = rolled.state.taken()
    arrays = [state[name].tobytes() for name in sorted(state)]
    length = len(rolled.outputs[0]["attention"].nonzero()[0]) if rolled.outputs else 0
    told = [plain(outputs, length) for outputs in rolled.outputs]
    return rolled.ids, rolled.log_probs, arrays, told, sink.ids


def plain(outputs: Any, length: int) -> dict[str, Any]:
    """Of what is told with a token, what is the row's own: the batch may be wider, and its texts longer."""
    few = {name: array[:2].tolist() for name, array in outputs.items() if name != "attention"}
    return few | {"attention": outputs["attention"][:length].tolist()}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    bundle = Bundle.read(write_translator(tmp_path_factory.mktemp("models")))
    engine = OnnxEngine(bundle, EngineSettings())
    rng = np.random.default_rng(0)
    texts = [rng.integers(4, 40, length) for length in (1, 3, 90, 5, 17, 40, 2, 33)]
    return Model(bundle, engine, [engine.run("encode", [Step("encode", {"tokens": t})])[0] for t in texts])


drawn = st.fixed_dictionaries(
    {
        "sampling_topk": st.sampled_from([0, 2, 5, 40, 200]),
        "sampling_topp": st.sampled_from([0.3, 0.9, 1.0]),
        "temperature": st.sampled_from([0.5, 1.0, 3.0]),
        "seed": st.integers(0, 2**64 - 1),
    }
)
rules = st.fixed_dictionaries(
    {
        "min_length": st.integers(0, 9),
        "max_length": st.integers(9, 12),
        "repetition_penalty": st.sampled_from([1.0, 2.0]),
        "no_repeat_ngram_size": st.sampled_from([0, 1, 2]),
        "target_prefix": st.sampled_from(["", "the cat"]),
        "stop": st.sampled_from([(), ("a", "o t")]),
        "num_alternatives": st.sampled_from([0, 1]),
    }
)
wishes = st.builds(lambda one, other: DecodingOptions(**one, **other), st.one_of(st.just({}), drawn), rules)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), wishes, st.booleans()), min_size=2, max_size=10),
    st.integers(2, 8),
)
def test_each_is_bit_for_bit_as_it_is_alone(
    model: Model, work: list[tuple[int, DecodingOptions, bool]], max_batch: int
) -> None:
    rollouts = [
        model.rollout(
            text, replace(options, return_attention=options.num_alternatives > 0), tells_all=tells_all
        )
        for text, options, tells_all in work
    ]
    together = model.run(rollouts, max_batch)
    again = [
        model.rollout(
            text, replace(options, return_attention=options.num_alternatives > 0), tells_all=tells_all
        )
        for text, options, tells_all in work
    ]
    assert together == [model.run([each], 1)[0] for each in again]


def test_a_draw_is_the_same_alone_and_in_a_batch_of_64(model: Model) -> None:
    options = [DecodingOptions(sampling_topk=topk, seed=7, max_length=20) for topk in (0, 10)]
    others = [
        DecodingOptions(sampling_topk=n % 20, seed=n, max_length=20, min_length=n % 20) for n in range(62)
    ]
    rollouts = [model.rollout(n % 8, each, tells_all=True) for n, each in enumerate([*options, *others])]
    together = model.run(rollouts, 64)
    for n, each in enumerate(options):
        assert model.run([model.rollout(n, each, tells_all=True)], 1) == [together[n]]
    assert len({tuple(ids) for ids, *_ in together}) > 50, "they are not all alike"


def test_who_asks_for_all_and_who_asks_a_graph_that_does_not_tell_all_obey_the_same_rules(
    model: Model,
) -> None:
    options = DecodingOptions(max_length=12, min_length=4, repetition_penalty=3.0, no_repeat_ngram_size=1)
    rolled = [
        model.run([model.rollout(text, options, tells_all=tells_all)], 1)
        for text in range(8)
        for tells_all in (True, False)
    ]
    assert rolled[::2] == rolled[1::2]
