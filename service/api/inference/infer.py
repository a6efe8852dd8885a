"""One request of the Open Inference Protocol, however it came, and its answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import NamedTuple

from seqserve.inference import grpc_service_pb2 as wire
from service.api.inference.offer import Offer, find_offer, offer_of
from service.api.inference.parameters import Parameters, SequenceId
from service.api.inference.sequences import Caller, Key, Sequences, unknown_sequence
from service.api.inference.statistics import Measured, Statistics
from service.api.inference.tensors import inputs_from_proto, outputs_to_proto
from service.api.inference.texts import answer_next_text, answer_texts
from service.api.usage import NUM_TOKENS
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible, TimedOut
from service.priority import CURRENT, Priority, asked_for
from service.registry import Registry, Served
from service.sessions import Session
from service.step import Array
from service.tasks.tensors import TensorGraph, keeps_something, run_next, run_rows, stacked

Tensors = Mapping[str, Array]
"""By name, `[rows, …]`."""
UNBOUNDED: AbstractAsyncContextManager[None] = nullcontext()
OUTPUT_PARAMETERS = {"binary_data"}
"""Of the HTTP form of this protocol; here answers have the form of their request."""


class Answered(NamedTuple):
    """What came of a request."""

    offer: Offer
    arrays: Tensors
    num_tokens: int
    """Inputs that were read and outputs that were written."""


class Inference:
    """Answers requests, alone or as the next of their sequence. Errors rise."""

    def __init__(
        self,
        registry: Registry,
        sequences: Sequences,
        statistics: Statistics,
        limits: LimitSettings,
        max_rows: int,
    ) -> None:
        self._registry = registry
        self._sequences = sequences
        self._statistics = statistics
        self._limits = limits
        self._max_rows = max_rows

    async def answer(self, request: wire.ModelInferRequest, caller: Caller) -> wire.ModelInferResponse:
        """The answer; what fails changes nothing, a request that was given up in time included."""
        with self._statistics.measured() as measured:
            parameters = Parameters.from_proto(request.parameters)
            with _at(parameters.priority):
                answered = await self._answered(request, parameters, caller, measured)
        return _response(request, answered)

    async def _answered(
        self, request: wire.ModelInferRequest, parameters: Parameters, caller: Caller, measured: Measured
    ) -> Answered:
        async with _within(parameters.timeout_s) if parameters.timeout_s else UNBOUNDED:
            if parameters.sequence is None:
                answered = await self._alone(request, parameters, measured)
            else:
                answered = await self._next(request, parameters, parameters.sequence, caller, measured)
        return answered

    async def _alone(
        self, request: wire.ModelInferRequest, parameters: Parameters, measured: Measured
    ) -> Answered:
        offer = measured.offer = find_offer(self._registry, request.model_name, request.model_version)
        tensors = _tensors(request, self._max_rows, measured)
        if offer.graph is None:
            text = _text(offer, request, tensors)
            return Answered(offer, *await answer_texts(offer.served, text, parameters.options, self._limits))
        graph = _graph(offer, offer.graph, request, parameters)
        rows = graph.rows(tensors)
        return Answered(
            offer, stacked(await run_rows(offer.served, graph, rows)), sum(map(graph.length, rows))
        )

    async def _next(
        self,
        request: wire.ModelInferRequest,
        parameters: Parameters,
        sequence: SequenceId,
        caller: Caller,
        measured: Measured,
    ) -> Answered:
        """The next request of a sequence; the graphs of a model go on with one another's."""
        key, starts_on = self._key(request, parameters, sequence, caller)
        ends = parameters.ends
        async with self._sequences.hold(key, starts_on, ends=ends) as session:
            offer = measured.offer = offer_of(session.served, request.model_name)
            _check_goes_on(offer, request.model_version)
            tensors = _tensors(request, 1, measured)
            before = _consumed(session)
            if offer.graph is None:
                text, options = _text(offer, request, tensors), parameters.options
                arrays = await answer_next_text(session, text, options, self._limits, ends=ends)
            else:
                graph = _graph(offer, offer.graph, request, parameters)
                [row] = graph.rows(tensors)
                arrays = stacked([await run_next(session, graph, row)])
            return Answered(offer, arrays, _consumed(session) - before)

    def _key(
        self, request: wire.ModelInferRequest, parameters: Parameters, sequence: SequenceId, caller: Caller
    ) -> tuple[Key, Served | None]:
        """Of the sequence, and the version it starts on, where it does. One that goes on stays with its version."""
        known = None if parameters.starts else self._sequences.find(caller, request.model_name, sequence)
        if known:
            return known, None
        served = find_offer(self._registry, request.model_name, request.model_version).served
        key = Key(caller, served.manifest.name, sequence)
        if not parameters.starts:
            raise unknown_sequence(key)
        return key, served


def _tensors(request: wire.ModelInferRequest, max_rows: int, measured: Measured) -> Tensors:
    tensors = inputs_from_proto(request)
    if not tensors:
        raise InvalidInput("the request has no inputs", field="inputs")
    measured.num_rows = len(next(iter(tensors.values())))
    if measured.num_rows > max_rows:
        raise InvalidInput(
            f"{measured.num_rows} rows are too many: {max_rows} at most, and 1 in a sequence", field="inputs"
        )
    return tensors


@contextmanager
def _at(priority: Priority | None) -> Iterator[None]:
    """What is submitted inside has this priority, where the caller may ask for it."""
    if priority is None:
        yield
        return
    token = CURRENT.set(asked_for(priority))
    try:
        yield
    finally:
        CURRENT.reset(token)


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        raise TimedOut(
            f"the {seconds:g} seconds that the request allowed were over; nothing has changed"
        ) from None


def _text(offer: Offer, request: wire.ModelInferRequest, tensors: Tensors) -> Array:
    if set(tensors) != {"text"}:
        graphs = ", ".join(f"{offer.name}.{graph}" for graph in offer.served.manifest.graphs)
        raise InvalidInput(
            f"{offer.name} takes the one input text; tensors go into its graphs: {graphs}", field="inputs"
        )
    _check_outputs(request, [output.name for output in offer.outputs])
    return tensors["text"]


def _graph(offer: Offer, graph: str, request: wire.ModelInferRequest, parameters: Parameters) -> TensorGraph:
    """The graph, which answers what the request wants."""
    for name in parameters.options:
        raise InvalidInput(f"no parameter is called {name!r} where tensors go in", field=f"parameters.{name}")
    _check_outputs(request, [output.name for output in offer.outputs])
    wanted = tuple(output.name for output in request.outputs) or None
    return TensorGraph.of(offer.served.bundle, graph, wanted)


def _check_goes_on(offer: Offer, version: str) -> None:
    manifest = offer.served.manifest
    if version not in ("", manifest.version):
        raise NotPossible(
            f"the sequence runs on version {manifest.version} of {manifest.name}, and stays with it"
        )
    if not keeps_something(manifest):
        raise NotPossible(f"{manifest.name} keeps nothing from one request to the next: send no sequence_id")


def _check_outputs(request: wire.ModelInferRequest, known: Sequence[str]) -> None:
    for output in request.outputs:
        if output.name not in known:
            raise InvalidInput(
                f"no output is called {output.name!r}; to these inputs there are {', '.join(known) or 'none'}",
                field="outputs",
            )
        if unknown := set(output.parameters) - OUTPUT_PARAMETERS:
            raise InvalidInput(
                f"output {output.name} has parameters that are not known here: {', '.join(sorted(unknown))} "
                "(neither classification nor shared memory is offered)",
                field="outputs",
            )


def _consumed(session: Session) -> int:
    standing = session.standing
    return standing.input_position + standing.output_position


def _response(request: wire.ModelInferRequest, answered: Answered) -> wire.ModelInferResponse:
    offer, arrays = answered.offer, answered.arrays
    response = wire.ModelInferResponse(
        model_name=offer.name, model_version=offer.served.manifest.version, id=request.id
    )
    response.parameters[NUM_TOKENS].int64_param = answered.num_tokens
    names = [output.name for output in request.outputs] or list(arrays)
    columns = {name: _with_columns(arrays[name]) for name in names}
    return outputs_to_proto(columns, response, raw=bool(request.raw_input_contents))


def _with_columns(array: Array) -> Array:
    """What is one number for each row travels as a column, as the metadata say."""
    return array[:, None] if array.ndim == 1 else array
