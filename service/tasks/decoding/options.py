"""What a caller may ask of a search, checked."""

from dataclasses import astuple, dataclass, fields
from typing import Any, Self

from service.bundle.manifest import Generation, Manifest
from service.errors import InvalidInput, NotPossible

MAX_BEAM_SIZE = 16
MAX_LENGTH_PENALTY = 5.0
MAX_COVERAGE_PENALTY = 5.0
MAX_REPETITION_PENALTY = 10.0
MAX_NGRAM_SIZE = 16
MAX_TOPK = 1000
MAX_TEMPERATURE = 10.0
MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_PREFIX_CHARS = 4096
MAX_ALTERNATIVES = 16

ATTENTION = "attention"
"""The output of a step graph that `return_attention`, `coverage_penalty` and `replace_unknowns` look at."""


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """Options with every field filled and valid. What each does: docs/decoding.md."""

    beam_size: int = 1
    num_hypotheses: int = 1
    length_penalty: float = 1.0
    max_length: int = 256
    min_length: int = 0
    coverage_penalty: float = 0.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    target_prefix: str = ""
    sampling_topk: int = 1
    """1: nothing is drawn; 0: drawn from all."""
    sampling_topp: float = 1.0
    temperature: float = 1.0
    seed: int | None = None
    """None: chosen by whoever runs the search."""
    stop: tuple[str, ...] = ()
    return_attention: bool = False
    num_alternatives: int = 0
    replace_unknowns: bool = False

    @classmethod
    def of(cls, manifest: Manifest, *, field: str = "options", **given: Any) -> Self:
        """What was asked for, the rest as the model has it; None counts as not asked for.

        InvalidInput names the field and what it may be; NotPossible where the model lacks what an option needs.
        """
        asked = {name: value for name, value in given.items() if value is not None}
        asked["stop"] = tuple(asked.get("stop", ()))
        defaults, longest = manifest.generation, manifest.limits.max_output_tokens
        filled = {
            "length_penalty": defaults.length_penalty,
            "max_length": min(defaults.max_length, longest),
            "repetition_penalty": defaults.repetition_penalty,
            "sampling_topp": defaults.sampling_topp,
            "temperature": defaults.temperature,
            **_drawing_or_beam(asked, defaults, f"{field}."),
        }
        options = cls(**(filled | asked))
        options._check(longest, f"{field}.")
        options._check_texts(f"{field}.")
        options._check_attention(manifest, f"{field}.")
        return options

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn, and not the best taken."""
        return self.sampling_topk != 1

    @property
    def needs_attention(self) -> bool:
        """Whether each step has to tell what it looked at."""
        return self.return_attention or self.replace_unknowns or self.coverage_penalty > 0

    def identity(self) -> tuple[Any, ...]:
        """What tells these options from others, as JSON values: the same in versions that know more of them."""
        first, rest = astuple(self)[:_NUM_FIRST], fields(self)[_NUM_FIRST:]
        differing = [each for each in rest if getattr(self, each.name) != each.default]
        return (*first, *([each.name, getattr(self, each.name)] for each in differing))

    def _check(self, longest: int, field: str) -> None:
        _check_between(self.beam_size, 1, MAX_BEAM_SIZE, f"{field}beam_size")
        _check_between(self.num_hypotheses, 1, self.beam_size, f"{field}num_hypotheses", "beam_size")
        _check_between(self.length_penalty, 0, MAX_LENGTH_PENALTY, f"{field}length_penalty")
        _check_between(self.max_length, 1, longest, f"{field}max_length")
        _check_between(self.min_length, 0, self.max_length, f"{field}min_length", "max_length")
        _check_between(self.coverage_penalty, 0, MAX_COVERAGE_PENALTY, f"{field}coverage_penalty")
        _check_between(self.repetition_penalty, 1, MAX_REPETITION_PENALTY, f"{field}repetition_penalty")
        _check_between(self.no_repeat_ngram_size, 0, MAX_NGRAM_SIZE, f"{field}no_repeat_ngram_size")
        _check_between(self.sampling_topk, 0, MAX_TOPK, f"{field}sampling_topk")
        _check_above_0(self.sampling_topp, 1, f"{field}sampling_topp")
        _check_above_0(self.temperature, MAX_TEMPERATURE, f"{field}temperature")
        _check_between(self.num_alternatives, 0, MAX_ALTERNATIVES, f"{field}num_alternatives")

    def _check_texts(self, field: str) -> None:
        if len(self.stop) > MAX_STOPS:
            raise InvalidInput(
                f"{field}stop has {len(self.stop)} texts; the limit is {MAX_STOPS}", field=f"{field}stop"
            )
        for index, text in enumerate(self.stop):
            _check_length(text, 1, MAX_STOP_CHARS, f"{field}stop[{index}]")
        _check_length(self.target_prefix, 0, MAX_PREFIX_CHARS, f"{field}target_prefix")

    def _check_attention(self, manifest: Manifest, field: str) -> None:
        if self.needs_attention and not has_attention(manifest):
            asked = next(name for name in _ATTENTION_OPTIONS if getattr(self, name))
            raise NotPossible(f"{manifest.name} does not tell what it looks at: {field}{asked} is not for it")


_NUM_FIRST = 5
"""Options that there were before all others."""
_ATTENTION_OPTIONS = ("return_attention", "replace_unknowns", "coverage_penalty")
_DRAWS = ("sampling_topk", "sampling_topp", "temperature", "seed")


def has_attention(manifest: Manifest) -> bool:
    """Whether the model's steps tell what they looked at."""
    step = manifest.graphs.get("step")
    return step is not None and any(tensor.name == ATTENTION for tensor in step.outputs)


def _drawing_or_beam(asked: dict[str, Any], defaults: Generation, field: str) -> dict[str, Any]:
    """How many hypotheses, and from how many tokens is drawn: never several of both.

    Whoever gives a seed, a temperature or a topp wants to draw; whoever gives a beam does not.
    """
    draws = next((name for name in _DRAWS if name in asked and asked.get("sampling_topk") != 1), None)
    topk = 0 if draws and defaults.sampling_topk == 1 else defaults.sampling_topk
    if asked.get("beam_size", 1) > 1:
        if draws:
            raise InvalidInput(
                f"{field}{draws} is for drawing, {field}beam_size for searching; give one of them",
                field=f"{field}{draws}",
            )
        return {"sampling_topk": 1}
    will_draw = asked.get("sampling_topk", topk) != 1
    return {"sampling_topk": topk, "beam_size": 1 if will_draw else defaults.beam_size}


def _check_between(value: float, lowest: float, highest: float, field: str, of: str = "") -> None:
    if not lowest <= value <= highest:  # NaN is between nothing
        because = f" ({of})" if of else ""
        raise InvalidInput(f"{field} must be {lowest:g} to {highest:g}{because}, not {value:g}", field=field)


def _check_above_0(value: float, highest: float, field: str) -> None:
    if not 0 < value <= highest:
        raise InvalidInput(f"{field} must be above 0 and at most {highest:g}, not {value:g}", field=field)


def _check_length(text: str, least: int, most: int, field: str) -> None:
    if not least <= len(text) <= most:
        raise InvalidInput(
            f"{field} must have {least:,} to {most:,} characters, not {len(text):,}", field=field
        )
