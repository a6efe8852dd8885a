"""What a manifest must obey beyond its schema: the graphs of its task, and axes that can be stacked and cut."""

from collections.abc import Iterator

from service.bundle.manifest import GraphSpec, Manifest, TensorSpec

Needs = dict[str, tuple[set[str], set[str]]]
"""Graph → names of the inputs and of the outputs that it must have."""

STEP: Needs = {"step": ({"token", "k"}, {"top_tokens", "top_log_probs"})}
"""Of every model that writes tokens."""
TAGS: Needs = {"tag": ({"tokens"}, {"log_probs"})}
LANGUAGE_MODEL: Needs = {"read": ({"tokens"}, set()), **STEP}

NEEDS: dict[str, tuple[Needs, ...]] = {
    "translate": ({"encode": ({"tokens"}, set()), **STEP},),
    "summarize": (TAGS, {"encode": ({"tokens"}, set()), **STEP}),
    "classify": ({"classify": ({"tokens"}, {"log_probs"})},),
    "tag": (TAGS,),
    "generate": (LANGUAGE_MODEL,),
    "chat": (LANGUAGE_MODEL,),
    "transcribe": ({"hear": ({"features"}, {"log_probs"})},),
    "predict": ({"predict": ({"features"}, {"log_probs"})}, {"predict": ({"features"}, {"forecast"})}),
    "caption": ({"encode": ({"features"}, set()), **STEP},),
    "tensors": ({},),
}
"""Task → what its graphs must be: one of these."""

READS_TEXT = {"translate", "summarize", "classify", "tag", "generate", "chat"}
"""Tasks whose input is text."""
WRITES_TEXT = {"translate", "generate", "chat", "transcribe", "caption"}
"""Tasks whose output is text."""
FEATURES: dict[str, str] = {"transcribe": "sound", "predict": "readings", "caption": "readings"}
"""Tasks with a file of features → of which kind."""
LABELS: dict[str, bool] = {"classify": True, "tag": True, "summarize": False, "predict": False}
"""Tasks with a file of labels → whether they cannot do without."""
DELETION = ("drop", "keep")
"""The labels of a model that summarizes by leaving words out."""


def complaints(manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong, as a path into the manifest and the reason."""
    yield from _missing(manifest)
    for name, graph in manifest.graphs.items():
        for complaint in _graph(graph):
            yield f"graphs.{name}: {complaint}"
    yield from _disagreements(manifest)
    yield from _files(manifest)
    yield from _simultaneous(manifest)


def _simultaneous(manifest: Manifest) -> Iterator[str]:
    """What is written while the source comes in must not depend on how much of it had come when it began."""
    if not manifest.simultaneous:
        return
    if manifest.task != "translate" or not manifest.streams:
        yield "simultaneous: is for models of task translate that stream"
    elif "step" in manifest.graphs and "encode" in manifest.graphs:
        first = {t.name for t in manifest.graphs["encode"].outputs if t.role == "state"}
        taken = {t.name for t in manifest.graphs["step"].inputs if t.role == "state"}
        yield from (
            f"simultaneous: graph encode must not give step its first state {name!r}"
            for name in sorted(first & taken)
        )


def _files(manifest: Manifest) -> Iterator[str]:
    task = manifest.task
    if LABELS.get(task) and manifest.labels is None:
        yield f"labels: task {task} needs a file of labels"
    if task not in LABELS and manifest.labels is not None:
        yield f"labels: task {task} has none"
    if manifest.text_labels is not None and task != "tag":
        yield f"text_labels: task {task} has none"
    if manifest.transitions is not None and ("tag" not in manifest.graphs or manifest.streams):
        yield "transitions: are for a graph 'tag' that does not stream: labels of a stream are not taken back"
    if manifest.keep_above != 0.5 and (task != "summarize" or manifest.labels is None):
        yield f"keep_above: is for models that leave words out, not for this one of task {task}"
    if task == "summarize" and ("tag" in manifest.graphs) != (manifest.labels is not None):
        yield f"labels: a graph 'tag' of task summarize wants the labels {', '.join(DELETION)}, and no other graph"
    if task in FEATURES and manifest.features is None:
        yield f"features: task {task} needs a file that says what they are"
    if task in READS_TEXT | WRITES_TEXT and manifest.tokenizer is None:
        yield f"tokenizer: task {task} needs one"


def _missing(manifest: Manifest) -> Iterator[str]:
    """What is missing for the alternative that the manifest comes nearest to."""
    yield from min((list(_lacking(manifest, needs)) for needs in NEEDS[manifest.task]), key=len)


def _lacking(manifest: Manifest, needs: Needs) -> Iterator[str]:
    for name, (inputs, outputs) in needs.items():
        if name not in manifest.graphs:
            yield f"graphs: task {manifest.task} needs a graph {name!r}"
            continue
        graph = manifest.graphs[name]
        for lacking in sorted(inputs - {t.name for t in graph.inputs}):
            yield f"graphs.{name}.inputs: {lacking!r} is missing"
        for lacking in sorted(outputs - {t.name for t in graph.outputs}):
            yield f"graphs.{name}.outputs: {lacking!r} is missing"


def _graph(graph: GraphSpec) -> Iterator[str]:
    for side, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        for names in ([t.name for t in tensors], [t.tensor for t in tensors]):
            yield from (
                f"{side}: {name!r} stands there twice" for name in set(names) if names.count(name) > 1
            )
        for tensor in tensors:
            yield from (f"{side}.{tensor.name}: {complaint}" for complaint in _tensor(tensor, side))
    yield from _axes(graph)


def _tensor(tensor: TensorSpec, side: str) -> Iterator[str]:
    roles = (
        {"input", "lengths", "size", "state", "context"}
        if side == "inputs"
        else {"state", "context", "output"}
    )
    if tensor.role not in roles:
        yield f"role {tensor.role} does not belong to {side}"
    if tensor.role == "size" and (tensor.axes or tensor.dtype != "int64"):
        yield "a size is one int64 without axes"
    elif tensor.role == "lengths" and (tensor.axes != ("batch",) or tensor.dtype != "int64"):
        yield "lengths are int64 with the one axis 'batch'"
    elif tensor.role != "size" and (tensor.axes[:1] != ("batch",) or "batch" in tensor.axes[1:]):
        yield "axes: 'batch' comes first, and once"
    if tensor.batch_axis and tensor.batch_axis >= len(tensor.axes):
        yield f"batch_axis: there is no axis {tensor.batch_axis}"
    for axis in tensor.axes:
        if isinstance(axis, int) and axis < 1:
            yield f"axes: a size of {axis} cannot be"


def ragged(tensor: TensorSpec) -> tuple[str, ...]:
    """Names of the axes whose length differs from row to row."""
    return tuple(axis for axis in tensor.axes[1:] if isinstance(axis, str))


def _axes(graph: GraphSpec) -> Iterator[str]:
    """Every ragged axis must have a length that some row or some request gives it."""
    given = {axis for t in graph.inputs if t.role in ("input", "context") for axis in ragged(t)}
    sizes = {t.of for t in graph.inputs if t.role == "size"}
    for tensor in graph.inputs:
        if tensor.role == "lengths" and tensor.of not in given:
            yield f"inputs.{tensor.name}: `of`: no input or context has the axis {tensor.of!r}"
        yield from (
            f"inputs.{tensor.name}: axes: no input or context gives {axis!r} a length"
            for axis in ragged(tensor)
            if axis not in given
        )
    for tensor in graph.outputs:
        for axis in ragged(tensor):
            if axis not in given | sizes:
                yield f"outputs.{tensor.name}: axes: no input, context or size gives {axis!r} a length"
    yield from _chunks(graph, given)
    for axis, multiple in graph.pad.items():
        if axis not in given or multiple < 1:
            yield f"pad.{axis}: wants a ragged axis of the inputs and a multiple of at least 1"


def _chunks(graph: GraphSpec, given: set[str]) -> Iterator[str]:
    """What carries states over rows of unequal length must be told their lengths, or never meet them."""
    if graph.chunk is None or graph.chunk == 1:
        return
    measured = {t.of for t in graph.inputs if t.role == "lengths"}
    for axis in sorted(given - measured):
        yield f"chunk: {graph.chunk} inputs along {axis!r} would be padded, and the graph takes no lengths of it"


def _disagreements(manifest: Manifest) -> Iterator[str]:
    """A state or context has one dtype and one shape wherever it appears; ragged axes may be called differently."""
    seen: dict[tuple[str, str], tuple[str, tuple[object, ...]]] = {}
    for name, graph in manifest.graphs.items():
        for tensor in (*graph.inputs, *graph.outputs):
            if tensor.role in ("state", "context"):
                shape = tuple(axis if isinstance(axis, int) else "" for axis in tensor.axes)
                if seen.setdefault((tensor.role, tensor.name), (tensor.dtype, shape)) != (
                    tensor.dtype,
                    shape,
                ):
                    yield f"graphs.{name}: {tensor.role} {tensor.name!r} has another dtype or shape elsewhere"
