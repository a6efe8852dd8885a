"""The manifest: what a bundle holds, and what each graph takes and returns.

Axes are named. `batch` is stacked by the engine. Any other name is a ragged axis: rows of different length are padded
to the longest (rounded up to `GraphSpec.pad[axis]`), and outputs are cut back to each row's own length.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.bundle.words import Cut

FORMAT = 4
"""The newest manifest format that this version reads and the one it writes."""

UNITS = "units"
"""The optional size that traces are asked for with, and the axis that it measures."""
TRACE = "trace_"
"""What the names of traces begin with."""

Role = Literal["input", "lengths", "size", "state", "context", "output"]
Task = Literal[
    "translate",
    "summarize",
    "classify",
    "tag",
    "generate",
    "chat",
    "transcribe",
    "predict",
    "caption",
    "tensors",
]
Measure = Literal["", "exact"]
DType = Literal[
    "float32",
    "float64",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """Frozen and strict: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorSpec(Part):
    """One tensor of a graph."""

    name: str
    """What it is called in steps and results. A state keeps its name on both sides and across graphs."""
    tensor: str
    """What it is called in the ONNX file."""
    dtype: DType
    axes: tuple[str | int, ...]
    """Names of ragged axes and sizes of fixed ones, `batch` first; a `size` has none."""
    role: Role
    """input: the step's own; lengths: filled by the engine with each row's length of axis `of`; size: one number for
    the whole batch, the largest that a row asks for as the size of axis `of` in the outputs; state: carried on by
    the session; context: fixed for the session once made; output: answered."""
    of: str | None = None
    """The axis that a `lengths` or `size` tensor measures."""
    batch_axis: int = Field(0, ge=0)
    """Where the file's tensor has its batch, such as 1 in `[layers, batch, hidden]`; in `axes` it comes first."""
    initial: float = 0.0
    """What every element of a state holds before the first step."""
    optional: bool = False
    """Of a size: a step that does not name it asks for 0."""

    @model_validator(mode="after")
    def _measures_an_axis(self) -> "TensorSpec":
        if (self.role in ("lengths", "size")) != (self.of is not None):
            raise ValueError(
                f"tensor {self.name!r}: `of` belongs to roles lengths and size, and only to them"
            )
        if self.optional and self.role != "size":
            raise ValueError(f"tensor {self.name!r}: only a size may be optional")
        return self


class Lender(Part):
    """Another bundle of the same repository, and which file of it is meant, whatever becomes of it."""

    model: Name
    version: Name
    sha256: Sha256


class GraphSpec(Part):
    """One ONNX file and its tensors."""

    file: str
    taken_from: Lender | None = None
    """The bundle in which the file lies; None: in this one."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    pad: dict[str, int] = {}
    """Ragged axis → the multiple its padded length is rounded up to (1 where absent). Sums over a padded axis are
    equal bit for bit whatever the padding only if their blocks are."""
    chunk: int | None = Field(None, ge=1)
    """Most inputs along a ragged axis in one step; 1 where the graph takes no lengths, so that nothing is padded."""
    max_rows: int | None = Field(None, ge=1)
    """Most rows of a batch; 1 where the file has a batch of one, or answers a row otherwise in company."""

    @property
    def traces(self) -> tuple[str, ...]:
        """Outputs that show what went on inside: so many units as the optional size `units` asks for."""
        return tuple(tensor.name for tensor in self.outputs if tensor.axes[-1:] == (UNITS,))


class Generation(Part):
    """Defaults for decoding."""

    beam_size: int = Field(1, ge=1, le=16)
    length_penalty: float = Field(1.0, ge=0, le=5)
    """The α of Wu et al. 2016, §7."""
    max_length: int = Field(256, ge=1)
    """Longest output, in tokens."""
    sampling_topk: int = Field(1, ge=0, le=1000)
    """1: the best token is taken; 0: drawn from all."""
    sampling_topp: float = Field(1.0, gt=0, le=1)
    temperature: float = Field(1.0, gt=0, le=10)
    repetition_penalty: float = Field(1.0, ge=1, le=10)


class Limits(Part):
    """What one request may ask of this model."""

    max_input_tokens: int = Field(512, ge=1)
    max_output_tokens: int = Field(512, ge=1)


class Manifest(Part):
    """The whole of `manifest.json`."""

    format: int = FORMAT
    name: Name
    version: Name
    task: Task
    description: str = ""
    source_language: str = ""
    """BCP 47, such as `es`; the language of the text that goes in."""
    target_language: str = ""
    """The language of the text that comes out, where text comes out."""
    precision: Literal["fp32", "int8"] = "fp32"
    num_parameters: int = 0
    streams: bool
    """Whether input can be fed piece by piece."""
    writes_unknowns: bool = False
    """Whether its graph offers the unknown token, which stands for a source word (replace_unknowns)."""
    simultaneous: bool = False
    """Whether it was trained to write while its source comes in."""
    measure: Measure = ""
    """What outputs are measured by, where it is not what the task is measured by; exact: right or wrong as wholes."""
    why_not_streaming: str = ""
    """Where it cannot: the reason, for people."""
    graphs: dict[str, GraphSpec]
    """What each task needs stands in `service.bundle.rules`."""
    tokenizer: str | None = "tokenizer.json"
    """None where neither input nor output is text."""
    features: str | None = None
    """The file that says what the input is, where it is not text."""
    labels: str | None = None
    text_labels: str | None = None
    """The file of the labels of whole texts, where a model of words has them, too."""
    transitions: str | None = None
    """The file that says which label follows which, where a text's labels are chosen together."""
    keep_above: float = Field(0.5, gt=0, lt=1)
    """Of a model that leaves words out: how probable it must be that a word stays."""
    words: Cut = "marks"
    """How a text is cut into words, where they have a label each."""
    generation: Generation = Generation()
    limits: Limits = Limits()
    files: dict[str, Sha256]
    """Every other file of the bundle and its hash."""
