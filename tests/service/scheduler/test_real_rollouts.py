"""Rollouts of a real graph on ONNX Runtime: bit for bit what each is alone, whoever shares its batch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bundle import Bundle
from service.bundle.tokenizer import BOS, EOS
from service.config import EngineSettings, SchedulerSettings
from service.engine import onnx
from service.engine.onnx import OnnxEngine
from service.metrics import Metrics
from service.scheduler import Scheduler
from service.step import Result, Rolled, Rollout, Step
from service.tasks.decoding.plan import WIRING
from tests.bundles import write_translator
from tests.fakes.rolling_sum import Heard, Rolling


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> OnnxEngine:
    path = write_translator(tmp_path_factory.mktemp("models"))
    return OnnxEngine(Bundle.read(path), EngineSettings())


@pytest.fixture(scope="module")
def reads(engine: OnnxEngine) -> list[Result]:
    """Texts of very different lengths."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(4, 40, length) for length in (1, 3, 90, 5, 17, 40, 2, 33)]
    return [engine.run("encode", [Step("encode", {"tokens": text})])[0] for text in texts]


def alone(engine: OnnxEngine, rolling: Rollout) -> tuple[list[int], list[float], bytes]:
    """Step by step, each a batch by itself."""
    ids: list[int] = []
    log_probs: list[float] = []
    last, state = rolling.first, rolling.state
    while len(ids) < rolling.max_steps and (not ids or last != rolling.stop):
        inputs = {"token": np.array(last), "k": np.array(2)}
        [result] = engine.run("step", [Step("step", inputs, state, rolling.context)])
        ranked = result.outputs["top_tokens"]
        rank = int(ranked[0] == rolling.stop and len(ids) < rolling.min_steps)
        last, state = int(ranked[rank]), {**state, **result.state}
        ids.append(last)
        log_probs.append(float(result.outputs["top_log_probs"][rank]))
    return ids, log_probs, b"".join(state[name].tobytes() for name in sorted(state))


def told(job: Rolling) -> tuple[list[int], list[float], bytes]:
    assert job.wait().error is None
    rolled = job.told[0]
    assert isinstance(rolled, Rolled)
    state = rolled.state.taken()
    return rolled.ids, rolled.log_probs, b"".join(state[name].tobytes() for name in sorted(state))


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=12),
    st.integers(1, 6),
)
def test_each_is_bit_for_bit_as_it_is_alone(
    engine: OnnxEngine, reads: list[Result], work: list[tuple[int, int, int]], max_batch: int
) -> None:
    rollouts = [
        Rollout(WIRING, BOS, reads[text].state, reads[text].context, EOS, most, min(least, most))
        for text, most, least in work
    ]
    sinks = [Heard() for _ in rollouts]
    jobs = [Rolling(replace(each, sink=sink)) for each, sink in zip(rollouts, sinks, strict=True)]
    scheduler = Scheduler(engine, SchedulerSettings(max_batch=max_batch), Metrics(), "real")
    try:
        for job in jobs:
            scheduler.submit(job)
        outcomes = [told(job) for job in jobs]
    finally:
        scheduler.close()
    assert outcomes == [alone(engine, each) for each in rollouts]
    assert [sink.ids for sink in sinks] == [[i for i in ids if i != EOS] for ids, _, _ in outcomes]


def test_a_rollout_fetches_what_it_chooses_by_and_no_attention(
    engine: OnnxEngine, reads: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[set[str]] = []
    run = onnx._Binding.run

    def watched(binding: Any, outputs: Any) -> Any:
        fetched.append(set(outputs))
        return run(binding, outputs)

    monkeypatch.setattr(onnx._Binding, "run", watched)
    given = {t.tensor for t in engine.manifest.graphs["step"].outputs}
    assert "attention" in given
    job = Rolling(Rollout(WIRING, BOS, reads[0].state, reads[0].context, EOS, 3))
    scheduler = Scheduler(engine, SchedulerSettings(), Metrics(), "real")
    try:
        scheduler.submit(job)
        told(job)
    finally:
        scheduler.close()
    assert fetched
    assert all(names == given - {"attention", "all_log_probs"} for names in fetched)
