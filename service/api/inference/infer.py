"""One request of the Open Inference Protocol, however it came, and its answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from seqserve.inference import grpc_service_pb2 as wire
from service.api.inference.offer import TEXT_OUTPUTS
from service.api.inference.parameters import Parameters
from service.api.inference.sequences import Caller, Key, Sequences
from service.api.inference.statistics import Measured, Statistics
from service.api.inference.tensors import inputs_from_proto, outputs_to_proto
from service.api.inference.texts import answer_next_text, answer_texts
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible, TimedOut
from service.registry import Registry, Served
from service.step import Array
from service.tasks.tensors import TensorGraph, keeps_something, run_next, run_rows, stacked

OUTPUT_PARAMETERS = {"binary_data"}
"""Of the HTTP form of this protocol; here answers have the form of their request."""


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
            async with _within(parameters.timeout_s):
                if parameters.sequence is None:
                    served = self.find(request.model_name, request.model_version)
                    _note(measured, served)
                    arrays = await self._alone(served, request, parameters, measured)
                else:
                    served, arrays = await self._next(request, parameters, caller, measured)
        return _response(request, served, _chosen(request, arrays))

    def find(self, name: str, version: str) -> Served:
        """The newest version, where none is named; ModelNotFound."""
        if not name:
            raise InvalidInput("model_name is empty", field="model_name")
        return self._registry.find(name, version)

    async def _alone(
        self, served: Served, request: wire.ModelInferRequest, parameters: Parameters, measured: Measured
    ) -> Mapping[str, Array]:
        tensors = self._tensors(request, self._max_rows, measured)
        if _is_text(served, tensors):
            return await answer_texts(served, tensors["text"], parameters.options, self._limits)
        _check_no_options(parameters)
        graph = TensorGraph.taking(served.bundle, tensors)
        return stacked(await run_rows(served, graph, graph.rows(tensors)))

    async def _next(
        self, request: wire.ModelInferRequest, parameters: Parameters, caller: Caller, measured: Measured
    ) -> tuple[Served, Mapping[str, Array]]:
        assert parameters.sequence is not None
        starts_on = self.find(request.model_name, request.model_version) if parameters.starts else None
        key = Key(caller, request.model_name, parameters.sequence)
        async with self._sequences.hold(key, starts_on, ends=parameters.ends) as session:
            served = session.served
            _note(measured, served)
            _check_goes_on(request, served)
            tensors = self._tensors(request, 1, measured)
            if _is_text(served, tensors):
                arrays = await answer_next_text(
                    session, tensors["text"], parameters.options, self._limits, ends=parameters.ends
                )
            else:
                _check_no_options(parameters)
                graph = TensorGraph.taking(served.bundle, tensors)
                [row] = graph.rows(tensors)
                arrays = stacked([await run_next(session, graph, row)])
            _chosen(request, arrays)  # refused before the sequence has moved would be better, and costs every request
        return served, arrays

    def _tensors(
        self, request: wire.ModelInferRequest, max_rows: int, measured: Measured
    ) -> dict[str, Array]:
        tensors = inputs_from_proto(request)
        if not tensors:
            raise InvalidInput("the request has no inputs", field="inputs")
        measured.num_rows = len(next(iter(tensors.values())))
        if measured.num_rows > max_rows:
            what = "a request of a sequence has" if max_rows == 1 else "a request has at most"
            raise InvalidInput(f"{what} {max_rows} rows, not {measured.num_rows}", field="inputs")
        return tensors


@asynccontextmanager
async def _within(seconds: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        raise TimedOut(f"the {seconds:g} seconds that the request allowed were over; nothing has changed") from None


def _is_text(served: Served, tensors: Mapping[str, Array]) -> bool:
    if "text" not in tensors or served.manifest.task not in TEXT_OUTPUTS:
        return False
    if len(tensors) > 1:
        raise InvalidInput("beside text no other input is taken", field="inputs")
    return True


def _check_no_options(parameters: Parameters) -> None:
    for name in parameters.options:
        raise InvalidInput(
            f"no parameter is called {name!r} where tensors go in", field=f"parameters.{name}"
        )


def _check_goes_on(request: wire.ModelInferRequest, served: Served) -> None:
    manifest = served.manifest
    if request.model_version not in ("", manifest.version):
        raise NotPossible(
            f"the sequence runs on version {manifest.version} of {manifest.name}, not on {request.model_version}: "
            "it stays with the version that it was begun on"
        )
    if not keeps_something(manifest):
        raise NotPossible(f"{manifest.name} keeps nothing from one request to the next: send no sequence_id")


def _note(measured: Measured, served: Served) -> None:
    measured.model = f"{served.manifest.name}/{served.manifest.version}"


def _chosen(request: wire.ModelInferRequest, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """The outputs that the request names, in its order; all where it names none."""
    if not request.outputs:
        return arrays
    for output in request.outputs:
        if output.name not in arrays:
            raise InvalidInput(
                f"no output is called {output.name!r}; to these inputs there are {', '.join(arrays) or 'none'}",
                field="outputs",
            )
        if unknown := set(output.parameters) - OUTPUT_PARAMETERS:
            raise InvalidInput(
                f"output {output.name} has parameters that are not known here: {', '.join(sorted(unknown))} "
                "(neither classification nor shared memory is offered)",
                field="outputs",
            )
    return {output.name: arrays[output.name] for output in request.outputs}


def _response(
    request: wire.ModelInferRequest, served: Served, arrays: Mapping[str, Array]
) -> wire.ModelInferResponse:
    response = wire.ModelInferResponse(
        model_name=served.manifest.name, model_version=served.manifest.version, id=request.id
    )
    columns = {name: array[:, None] if array.ndim == 1 else array for name, array in arrays.items()}
    return outputs_to_proto(columns, response, raw=bool(request.raw_input_contents))
