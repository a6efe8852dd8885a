import json

import numpy as np
import pytest

from service.bundle.manifest import GraphSpec, TensorSpec
from service.errors import InvalidInput, NotPossible
from service.registry import Served
from service.tasks.look import DEFAULT_UNITS, Look
from service.tasks.said import Said

GATES = ("trace_encoder_f_0", "trace_encoder_c_0")


def traced(served: Served) -> Served:
    """The same model, as if its graph told of two gates."""
    graph = served.manifest.graphs["classify"]
    outputs = (*graph.outputs, *map(_trace, GATES))
    graphs = {"classify": graph.model_copy(update={"outputs": outputs})}
    bundle = served.bundle.__class__(
        served.bundle.path, served.manifest.model_copy(update={"graphs": graphs})
    )
    return Served(bundle, served.engine, served.scheduler)


def _trace(name: str) -> TensorSpec:
    axes = ("batch", "time", "units")
    return TensorSpec(name=name, tensor=name, dtype="float32", axes=axes, role="output")


def test_all_there_is_and_the_first_units_are_looked_at_where_nothing_is_named(classifier: Served) -> None:
    look = Look.of(traced(classifier).manifest, "classify", [], [])
    assert look == Look(("encoder_f_0", "encoder_c_0"), DEFAULT_UNITS)
    assert (look.outputs, look.width) == (GATES, 16)


def test_an_unknown_name_lists_what_there_is(classifier: Served) -> None:
    with pytest.raises(InvalidInput, match="no 'encoder_x_0' to look at; it has encoder_f_0, encoder_c_0"):
        Look.of(traced(classifier).manifest, "classify", ["encoder_x_0"], [])


@pytest.mark.parametrize("unit", [-1, 4096])
def test_units_are_within_bounds(classifier: Served, unit: int) -> None:
    with pytest.raises(InvalidInput, match="0 to 4095"):
        Look.of(traced(classifier).manifest, "classify", [], [unit])


def test_a_model_without_traces_says_how_to_get_them(classifier: Served) -> None:
    with pytest.raises(NotPossible, match="export it again"):
        Look.of(classifier.manifest, "classify", [], [])


def test_what_was_seen_in_several_steps_is_one_trace_of_the_units_asked_for() -> None:
    look = Look(("encoder_f_0",), (2, 0, 9))
    steps = [{"trace_encoder_f_0": np.arange(n, n + 6, dtype=np.float32).reshape(2, 3)} for n in (0, 6)]
    [trace] = look.traces(steps)
    assert (trace.name, trace.units) == ("encoder_f_0", (2, 0))
    assert trace.values.tolist() == [[2, 0], [5, 3], [8, 6], [11, 9]]


def test_a_look_and_its_traces_come_back_from_json() -> None:
    look = Look(("encoder_f_0",), (1, 5))
    assert Look.from_json(json.loads(json.dumps(look.to_json()))) == look
    said = Said(
        traces=look.traces([{"trace_encoder_f_0": np.random.default_rng(0).normal(size=(3, 6)).astype("f4")}])
    )
    [back] = Said.from_json(json.loads(json.dumps(said.to_json()))).traces
    assert np.array_equal(back.values, said.traces[0].values)
    assert back.values.dtype == np.float32


def test_traces_are_the_outputs_along_units() -> None:
    graph = GraphSpec(file="x", inputs=(), outputs=tuple(map(_trace, GATES)))
    assert graph.traces == GATES
