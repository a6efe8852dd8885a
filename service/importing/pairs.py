"""Which outputs of a graph carry which of its inputs on: the pairs that are its state."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from service.engine.probe import Found
from service.errors import BundleRefused

DIRECTIONS = {
    *("in", "input", "out", "output", "x", "y", "prev", "previous", "last", "past", "old", "init", "initial"),
    *(
        "next",
        "new",
        "present",
        "updated",
        "final",
        "cur",
        "current",
        "t",
        "0",
        "n",
        "t0",
        "tn",
        "t1",
        "ret",
        "r",
    ),
}
"""Words that say on which side of a step a tensor stands, and nothing about what it is."""
STEMS = {"h", "c", "s", "hx", "cx", "hidden", "cell", "state", "states", "memory", "cache", "hc"}
"""What a state is often called; `h0` and `hn`, `state` and `stateN` are written in one word."""
_SUFFIX = re.compile(r"^(.+?)(in|out|0|n|t|prev|next|new)$")


def find_pairs(
    inputs: Sequence[Found], outputs: Sequence[Found], given: Mapping[str, str], path: object
) -> dict[str, str]:
    """Input → output; BundleRefused says what is not clear and how to say it."""
    if given:
        return _checked(inputs, outputs, given, path)
    pairs = _by_names(inputs, outputs)
    left = [tensor for tensor in inputs if tensor.name not in pairs]
    free = [tensor for tensor in outputs if tensor.name not in pairs.values()]
    pairs |= _by_shapes(left, free, has_pairs=bool(pairs), path=path)
    if not pairs:
        raise BundleRefused(
            f"{path}: no output looks like the next value of an input, so nothing is a state. Inputs: {_list(inputs)}. "
            f"Outputs: {_list(outputs)}. Name the pairs with --state INPUT=OUTPUT"
        )
    return {tensor.name: pairs[tensor.name] for tensor in inputs if tensor.name in pairs}


def fits(one: Found, other: Found) -> bool:
    """Whether the two can be one state before and after a step."""
    return (
        one.dtype == other.dtype
        and len(one.shape) == len(other.shape)
        and all(
            a == b or not (isinstance(a, int) and isinstance(b, int))
            for a, b in zip(one.shape, other.shape, strict=True)
        )
    )


def key_of(name: str) -> tuple[str, ...]:
    """What is left of a name without the words for the side: the same for both ends of a state."""
    words = re.split(r"[^A-Za-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    stems = (_stem(word.lower()) for word in words if word)
    return tuple(stem for stem in stems if stem not in DIRECTIONS)


def _stem(word: str) -> str:
    if word in STEMS:
        return word
    match = _SUFFIX.match(word)
    return match[1] if match and match[1] in STEMS else word


def _by_names(inputs: Sequence[Found], outputs: Sequence[Found]) -> dict[str, str]:
    """Pairs whose names differ in the side only, where nothing else on either side has that name."""
    before, after = _by_key(inputs), _by_key(outputs)
    return {
        before[key][0].name: after[key][0].name
        for key in before.keys() & after.keys()
        if key and len(before[key]) == len(after[key]) == 1 and fits(before[key][0], after[key][0])
    }


def _by_shapes(
    left: Sequence[Found], free: Sequence[Found], *, has_pairs: bool, path: object
) -> dict[str, str]:
    """Pairs that are each other's only match; one input must be left for what goes in.

    Only where names say nothing at all.
    """
    if has_pairs:
        return {}
    candidates = {
        tensor.name: [other for other in free if fits(tensor, other) and _is_settled(tensor)]
        for tensor in left
    }
    candidates = {name: found for name, found in candidates.items() if found}
    if len(candidates) == len(left):  # what goes in fits, too
        return {}
    taken = [other.name for found in candidates.values() for other in found]
    open_choice = [
        name for name, found in candidates.items() if len(found) > 1 or taken.count(found[0].name) > 1
    ]
    if open_choice:
        raise BundleRefused(
            f"{path}: which output carries on {', '.join(open_choice)} cannot be told by names or shapes. "
            f"Outputs: {_list(free)}. Name the pairs with --state INPUT=OUTPUT{_in_order(candidates)}"
        )
    return {name: found[0].name for name, found in candidates.items()}


def _in_order(candidates: Mapping[str, Sequence[Found]]) -> str:
    """How to say that they follow one another on both sides, where that can be."""
    if len({tuple(t.name for t in found) for found in candidates.values()}) != 1:
        return ""
    found = next(iter(candidates.values()))
    if len(found) != len(candidates):
        return ""
    pairs = " ".join(f"--state {name}={t.name}" for name, t in zip(candidates, found, strict=True))
    return f"; if they come in the same order: {pairs}"


def _is_settled(tensor: Found) -> bool:
    """A state has at most one size that may differ: its batch."""
    return len(tensor.shape) >= 2 and sum(not isinstance(size, int) for size in tensor.shape) <= 1


def _checked(
    inputs: Sequence[Found], outputs: Sequence[Found], given: Mapping[str, str], path: object
) -> dict[str, str]:
    before, after = {t.name: t for t in inputs}, {t.name: t for t in outputs}
    for name, other in given.items():
        for side, known, wanted in (("input", before, name), ("output", after, other)):
            if wanted not in known:
                raise BundleRefused(f"{path}: has no {side} {wanted!r}; it has {_list(known.values())}")
        if not fits(before[name], after[other]):
            raise BundleRefused(
                f"{path}: {_list([before[name]])} and {_list([after[other]])} differ; a state keeps type and shape"
            )
    if len(set(given.values())) < len(given):
        raise BundleRefused(f"{path}: one output cannot carry on two states")
    return dict(given)


def _by_key(tensors: Iterable[Found]) -> dict[tuple[str, ...], list[Found]]:
    found: dict[tuple[str, ...], list[Found]] = defaultdict(list)
    for tensor in tensors:
        found[key_of(tensor.name)].append(tensor)
    return found


def _list(tensors: Iterable[Found]) -> str:
    return ", ".join(f"{t.name} {t.dtype} [{', '.join(map(str, t.shape))}]" for t in tensors)
