"""Where each tensor of a graph has its batch and its time: by names of sizes, else by trying.

A layout is right if the graph runs with it, if two rows together answer what each answers alone, and if what it
answers grows with the batch and the time that went in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from service.engine.probe import Found, Probe
from service.errors import BundleRefused
from service.importing.wishes import Wishes
from service.step import Array

CLOSE = 1e-3
"""Rows that are this near to themselves alone are rows; those of a wrong layout are nowhere near."""
MAX_TRIED = 64
BATCH_NAMES = {"batch", "batch_size", "n", "b", "bs", "num_batch"}


@dataclass(frozen=True, slots=True)
class Axes:
    """Of one tensor."""

    batch: int
    time: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """Of a graph; `is_single` where the file has a batch of one."""

    inputs: Mapping[str, Axes]
    outputs: Mapping[str, Axes]
    is_single: bool

    @property
    def has_time(self) -> bool:
        return any(axes.time is not None for axes in self.inputs.values())


def find_layout(probe: Probe, states: Mapping[str, str], wishes: Wishes) -> Layout:
    """The one layout that is right; BundleRefused where there is none, or several, and how to choose."""
    _check_tensors(probe)
    is_single = all(isinstance(size, int) for name in states for size in _shape(probe.inputs, name))
    choices = [list(_candidates(tensor, tensor.name in states, is_single, wishes)) for tensor in probe.inputs]
    names = [tensor.name for tensor in probe.inputs]
    tried = [dict(zip(names, choice, strict=True)) for choice in product(*choices)]
    if len(tried) > MAX_TRIED:
        raise BundleRefused(f"{probe.path}: too many of its sizes are open; say {_how(probe.inputs)}")
    tried = _by_names(probe.inputs, tried)
    right = [layout for inputs in tried if (layout := _tried(probe, inputs, states, is_single))]
    if not right:
        raise BundleRefused(
            f"{probe.path}: with no choice of the batch's place do two rows together answer what each answers alone "
            f"(a state or a batch is not what it seems, or a size is fixed); say {_how(probe.inputs)}"
        )
    if len({_seen(layout) for layout in right}) > 1:
        raise BundleRefused(f"{probe.path}: which size is the batch is not clear; say {_how(probe.inputs)}")
    return right[0]


def feeds_for(
    inputs: Sequence[Found], axes: Mapping[str, Axes], rows: int, length: int, seed: int
) -> dict[str, Array]:
    """Tensors for so many rows of this length, every row another."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for tensor in inputs:
        at = axes[tensor.name]
        shape = [
            rows if i == at.batch else length if i == at.time else size if isinstance(size, int) else 1
            for i, size in enumerate(tensor.shape)
        ]
        feeds[tensor.name] = _random(rng, shape, tensor.dtype)
    return feeds


def _check_tensors(probe: Probe) -> None:
    for tensor in (*probe.inputs, *probe.outputs):
        if not tensor.is_known:
            raise BundleRefused(f"{probe.path}: {tensor.name} is {tensor.dtype}, which is not served")
    for tensor in probe.inputs:
        if not tensor.shape:
            raise BundleRefused(
                f"{probe.path}: {tensor.name} is one number without a batch; make it a constant of the model"
            )


def _candidates(tensor: Found, is_state: bool, is_single: bool, wishes: Wishes) -> Iterator[Axes]:
    """Where its batch, and for what is no state its time, can be."""
    ones = [i for i, size in enumerate(tensor.shape) if size == 1]
    free = [i for i, size in enumerate(tensor.shape) if not isinstance(size, int)]
    places = [_wished(wishes.batch_axes, tensor)] if tensor.name in wishes.batch_axes else free or ones
    if is_single and not free and tensor.name not in wishes.batch_axes:
        places = ones[1:2] if is_state and len(tensor.shape) == 3 and len(ones) > 1 else ones[:1]
    for batch in places:
        times: list[int | None] = [i for i in free if i != batch]
        if tensor.name in wishes.time_axes:
            times = [_wished(wishes.time_axes, tensor)]
        if is_state or not times:
            times = [None]
        yield from (Axes(batch, time) for time in times)


def _wished(axes: Mapping[str, int], tensor: Found) -> int:
    at = axes[tensor.name]
    if not -len(tensor.shape) <= at < len(tensor.shape):
        raise BundleRefused(f"{tensor.name} has {len(tensor.shape)} axes, so there is no axis {at}")
    return at % len(tensor.shape)


def _by_names(inputs: Sequence[Found], tried: list[dict[str, Axes]]) -> list[dict[str, Axes]]:
    """Those in which the batch has one name everywhere, and best one that says so; all where there are none."""
    shapes = {tensor.name: tensor.shape for tensor in inputs}
    alike: dict[str, list[dict[str, Axes]]] = {}
    for axes in tried:
        names = {shapes[name][at.batch] for name, at in axes.items()}
        if len(names) == 1 and isinstance(name := names.pop(), str):
            alike.setdefault(name, []).append(axes)
    told = [name for name in alike if name.lower() in BATCH_NAMES]
    if len(told) == 1 or len(alike) == 1:
        return alike[(told or list(alike))[0]]
    return tried


def _tried(
    probe: Probe, inputs: Mapping[str, Axes], states: Mapping[str, str], is_single: bool
) -> Layout | None:
    """The layout with these inputs, where it is right."""
    few, many = (1, 1) if is_single else (2, 3)
    has_time = any(axes.time is not None for axes in inputs.values())
    short, long = (3, 5) if has_time else (1, 1)
    first = probe.run(feeds_for(probe.inputs, inputs, few, short, 0))
    more = probe.run(feeds_for(probe.inputs, inputs, many, short, 0))
    longer = probe.run(feeds_for(probe.inputs, inputs, few, long, 0))
    if first is None or more is None or longer is None:
        return None
    outputs: dict[str, Axes] = {}
    for name, array in first.items():
        batch = _grown(array.shape, more[name].shape, few, many)
        time = _grown(array.shape, longer[name].shape, short, long)
        if is_single:
            batch = _place_of_one(name, array.shape, inputs, states)
        if batch is None:
            return None
        outputs[name] = Axes(batch, time)
    layout = Layout(inputs, outputs, is_single)
    settled = all(outputs[o] == inputs[i] for i, o in states.items())
    return layout if settled and (is_single or _rows_stand_alone(probe, layout, short)) else None


def _grown(shape: tuple[int, ...], other: tuple[int, ...], few: int, many: int) -> int | None:
    """The one axis that has grown from `few` to `many`."""
    if len(shape) != len(other) or few == many:
        return None
    grown = [i for i, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b]
    return grown[0] if len(grown) == 1 and (shape[grown[0]], other[grown[0]]) == (few, many) else None


def _place_of_one(
    name: str, shape: tuple[int, ...], inputs: Mapping[str, Axes], states: Mapping[str, str]
) -> int | None:
    """Where an output of a file with a batch of one has it: a state where it had it, others where the first one is."""
    for before, after in states.items():
        if after == name:
            return inputs[before].batch
    return next((i for i, size in enumerate(shape) if size == 1), None)


def _rows_stand_alone(probe: Probe, layout: Layout, length: int) -> bool:
    feeds = feeds_for(probe.inputs, layout.inputs, 2, length, 7)
    both = probe.run(feeds)
    for row in range(2):
        alone = probe.run({n: np.take(a, [row], layout.inputs[n].batch) for n, a in feeds.items()})
        if alone is None or both is None:
            return False
        for name, array in both.items():
            mine = np.take(array, [row], layout.outputs[name].batch).astype(np.float64)
            if mine.shape != alone[name].shape or not np.allclose(mine, alone[name], CLOSE, CLOSE):
                return False
    return True


def _random(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> Array:
    """Small numbers; of whole ones only 0 and 1, which are ids of any vocabulary."""
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2, size=shape).astype(dtype)


def _seen(layout: Layout) -> tuple[object, ...]:
    return tuple(sorted((name, axes.batch, axes.time) for name, axes in layout.inputs.items()))


def _shape(tensors: Sequence[Found], name: str) -> tuple[int | str | None, ...]:
    return next(tensor.shape for tensor in tensors if tensor.name == name)


def _how(inputs: Sequence[Found]) -> str:
    first = inputs[0].name
    return f"--batch-axis {first}=0 and --time-axis {first}=1, or what they are, for each input"
