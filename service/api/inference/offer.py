"""What a model looks like through the Open Inference Protocol: its tensors, as metadata and as configuration.

Every model offers the inputs and outputs of its graphs; a model of a text task also `text`, which stands for the whole
way from text to text or label.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from seqserve.inference import grpc_service_pb2 as wire
from seqserve.inference import model_config_pb2 as config
from service.api.inference.tensors import BYTES, datatype_of
from service.bundle.manifest import Manifest, TensorSpec
from service.registry import Served
from service.tasks.tensors import keeps_something, optional_inputs

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
    optional: bool = False


def inputs_of(manifest: Manifest) -> list[Tensor]:
    """`text` first, where there is a task for it; beside it the tensors of the graphs are not needed."""
    has_text = manifest.task in TEXT_OUTPUTS
    text = [Tensor("text", BYTES, (1,))] if has_text else []
    return _each_once([*text, *_graph_inputs(manifest, beside_text=has_text)])


def outputs_of(manifest: Manifest) -> list[Tensor]:
    text = [Tensor(name, datatype, (ANY,)) for name, datatype in TEXT_OUTPUTS.get(manifest.task, ())]
    graphs = (
        _tensor(t) for spec in manifest.graphs.values() for t in spec.outputs if t.role == "output"
    )
    return _each_once([*text, *graphs])


def takes_sequences(manifest: Manifest) -> bool:
    """Whether what a model takes first may come in pieces."""
    return manifest.streams and keeps_something(manifest)


def metadata_to_proto(served: Served, versions: list[str]) -> wire.ModelMetadataResponse:
    manifest = served.manifest
    return wire.ModelMetadataResponse(
        name=manifest.name,
        versions=versions,
        platform=PLATFORM,
        inputs=map(_metadata_to_proto, inputs_of(manifest)),
        outputs=map(_metadata_to_proto, outputs_of(manifest)),
    )


def config_to_proto(served: Served, max_rows: int, max_sequences: int, ttl_s: float) -> config.ModelConfig:
    manifest = served.manifest
    found = config.ModelConfig(
        name=manifest.name, platform=PLATFORM, backend=PLATFORM, max_batch_size=max_rows
    )
    for given in inputs_of(manifest):
        found.input.add(
            name=given.name, data_type=_data_type(given), dims=given.dims, optional=given.optional
        )
    for answered in outputs_of(manifest):
        found.output.add(name=answered.name, data_type=_data_type(answered), dims=answered.dims)
    if takes_sequences(manifest):
        batching = found.sequence_batching
        batching.oldest.max_candidate_sequences = max_sequences
        batching.max_sequence_idle_microseconds = round(ttl_s * 1e6)
        batching.state.extend(_states(manifest))
    else:
        found.dynamic_batching.SetInParent()
    found.parameters["task"].string_value = manifest.task
    found.parameters["description"].string_value = manifest.description
    return found


def _graph_inputs(manifest: Manifest, *, beside_text: bool) -> Iterator[Tensor]:
    for spec in manifest.graphs.values():
        for tensor in spec.inputs:
            if tensor.role == "input":
                yield _tensor(tensor, optional=beside_text or len(manifest.graphs) > 1)
        for tensor in optional_inputs(spec):
            yield Tensor(tensor.name, datatype_of(tensor.dtype), (1,), optional=True)


def _tensor(spec: TensorSpec, *, optional: bool = False) -> Tensor:
    dims = tuple(ANY if isinstance(axis, str) else axis for axis in spec.axes[1:])
    return Tensor(spec.name, datatype_of(spec.dtype), dims or (1,), optional)


def _each_once(tensors: list[Tensor]) -> list[Tensor]:
    return list({tensor.name: tensor for tensor in reversed(tensors)}.values())[::-1]


def _states(manifest: Manifest) -> Iterator[config.ModelSequenceBatching.State]:
    states = {t.name: t for spec in manifest.graphs.values() for t in spec.outputs if t.role == "state"}
    for spec in states.values():
        tensor = _tensor(spec)
        yield config.ModelSequenceBatching.State(
            input_name=spec.name, output_name=spec.name, data_type=_data_type(tensor), dims=tensor.dims
        )


def _metadata_to_proto(tensor: Tensor) -> wire.ModelMetadataResponse.TensorMetadata:
    return wire.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=(ANY, *tensor.dims)
    )


def _data_type(tensor: Tensor) -> config.DataType.ValueType:
    return config.DataType.Value("TYPE_" + ("STRING" if tensor.datatype == BYTES else tensor.datatype))
