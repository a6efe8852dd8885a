"""What is offered through the Open Inference Protocol: which tensors, as metadata and as configuration.

A model of a text task is offered as `NAME`, text in and text or labels out, and each of its graphs as `NAME.GRAPH`,
tensors in and tensors out. Of any other model `NAME` is its first graph that answers with more than its state. What is
offered under one name takes and answers all that its metadata list: tools that know nothing but these can use it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from seqserve.inference import grpc_service_pb2 as wire
from seqserve.inference import model_config_pb2 as config
from service.api.inference.tensors import BYTES, datatype_of
from service.bundle.manifest import Manifest, TensorSpec
from service.errors import InvalidInput, ModelNotFound
from service.priority import Priority
from service.registry import Registry, Served
from service.tasks.tensors import answers_of, optional_inputs

PLATFORM = "seqserve"
ANY = -1
TEXT_OUTPUTS = {
    "translate": (("text", BYTES), ("score", "FP32")),
    "classify": (("label", BYTES), ("probability", "FP32")),
}
"""Task → what it answers to `text`, a column for each hypothesis or label that was asked for."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    """Without the batch; -1: any size."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What one name stands for."""

    name: str
    served: Served
    graph: str | None
    """None: the model's task, from text to text or label."""

    @property
    def inputs(self) -> list[Tensor]:
        if self.graph is None:
            return [Tensor("text", BYTES, (1,))]
        spec = self.served.manifest.graphs[self.graph]
        return [_tensor(t) for t in spec.inputs if t.role == "input"]

    @property
    def optional(self) -> list[str]:
        """Inputs that are taken and not listed: tools fill in whatever is listed, and these cannot be anything."""
        specs = self.served.manifest.graphs
        return [t.name for t in optional_inputs(specs[self.graph])] if self.graph else []

    @property
    def outputs(self) -> list[Tensor]:
        manifest = self.served.manifest
        if self.graph is None:
            return [Tensor(name, datatype, (ANY,)) for name, datatype in TEXT_OUTPUTS[manifest.task]]
        return [_tensor(t) for t in answers_of(manifest.graphs[self.graph])]

    @property
    def is_sequential(self) -> bool:
        """Whether it is meant to be used in sequences: one request matters to the next."""
        manifest = self.served.manifest
        if self.graph is None:
            return manifest.streams
        return any(t.role in ("state", "context") for t in manifest.graphs[self.graph].inputs)


def find_offer(registry: Registry, name: str, version: str) -> Offer:
    """What a name stands for, in the newest version where none is named; ModelNotFound."""
    if not name:
        raise InvalidInput("the request names no model", field="model_name")
    names, model = {each.manifest.name for each in registry.all()}, name.rpartition(".")[0]
    is_graph = name not in names and model in names
    return offer_of(registry.find(model if is_graph else name, version), name)


def offer_of(served: Served, name: str) -> Offer:
    """What a name stands for that begins with the model's."""
    manifest, graph = served.manifest, name.removeprefix(f"{served.manifest.name}.")
    if name == manifest.name:
        return Offer(name, served, None if manifest.task in TEXT_OUTPUTS else _first_graph(manifest))
    if graph not in manifest.graphs:
        raise ModelNotFound(
            f"{manifest.name} has no graph {graph!r}; there are {', '.join(manifest.graphs)}", name=name
        )
    return Offer(name, served, graph)


def _first_graph(manifest: Manifest) -> str:
    """The first that has something to say; that which only reads a language model's text has not."""
    return next(
        (name for name, spec in manifest.graphs.items() if answers_of(spec)), next(iter(manifest.graphs))
    )


def metadata_to_proto(offer: Offer, versions: list[str]) -> wire.ModelMetadataResponse:
    return wire.ModelMetadataResponse(
        name=offer.name,
        versions=versions,
        platform=PLATFORM,
        inputs=map(_metadata_to_proto, offer.inputs),
        outputs=map(_metadata_to_proto, offer.outputs),
    )


def config_to_proto(offer: Offer, max_rows: int, max_sequences: int, ttl_s: float) -> config.ModelConfig:
    found = config.ModelConfig(name=offer.name, platform=PLATFORM, backend=PLATFORM, max_batch_size=max_rows)
    for given in offer.inputs:
        found.input.add(name=given.name, data_type=_data_type(given), dims=given.dims)
    for answered in offer.outputs:
        found.output.add(name=answered.name, data_type=_data_type(answered), dims=answered.dims)
    if offer.is_sequential:
        found.sequence_batching.oldest.max_candidate_sequences = max_sequences
        found.sequence_batching.max_sequence_idle_microseconds = round(ttl_s * 1e6)
        found.sequence_batching.state.extend(_states(offer))
    else:
        found.dynamic_batching.priority_levels = len(Priority)
        found.dynamic_batching.default_priority_level = Priority.NORMAL
    manifest = offer.served.manifest
    for name, value in (
        ("task", manifest.task),
        ("description", manifest.description),
        ("optional_inputs", ", ".join(offer.optional)),
        ("graphs", ", ".join(f"{manifest.name}.{graph}" for graph in manifest.graphs)),
    ):
        if value:
            found.parameters[name].string_value = value
    return found


def _tensor(spec: TensorSpec) -> Tensor:
    dims = tuple(ANY if isinstance(axis, str) else axis for axis in spec.axes[1:])
    return Tensor(spec.name, datatype_of(spec.dtype), dims or (1,))


def _states(offer: Offer) -> Iterator[config.ModelSequenceBatching.State]:
    graphs = offer.served.manifest.graphs
    chosen = graphs.values() if offer.graph is None else [graphs[offer.graph]]
    states = {t.name: _tensor(t) for spec in chosen for t in spec.outputs if t.role == "state"}
    for name, tensor in states.items():
        yield config.ModelSequenceBatching.State(
            input_name=name, output_name=name, data_type=_data_type(tensor), dims=tensor.dims
        )


def _metadata_to_proto(tensor: Tensor) -> wire.ModelMetadataResponse.TensorMetadata:
    return wire.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=(ANY, *tensor.dims)
    )


def _data_type(tensor: Tensor) -> config.DataType.ValueType:
    return config.DataType.Value("TYPE_" + ("STRING" if tensor.datatype == BYTES else tensor.datatype))
