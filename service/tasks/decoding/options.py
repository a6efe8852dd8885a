"""What a caller may ask of a search, checked."""

from dataclasses import dataclass
from typing import Self, TypeVar

from service.bundle.manifest import Manifest
from service.errors import InvalidInput

T = TypeVar("T", int, float)

MAX_BEAM_SIZE = 16
MAX_LENGTH_PENALTY = 5.0


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """Options with every field filled and valid."""

    beam_size: int = 1
    num_hypotheses: int = 1
    length_penalty: float = 1.0
    max_length: int = 256
    min_length: int = 0

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        *,
        beam_size: int | None = None,
        num_hypotheses: int | None = None,
        length_penalty: float | None = None,
        max_length: int | None = None,
        min_length: int | None = None,
        field: str = "options",
    ) -> Self:
        """What was asked for, the rest as the model has it; InvalidInput names the field and what it may be."""
        defaults, longest = manifest.generation, manifest.limits.max_output_tokens
        options = cls(
            beam_size=_or(beam_size, defaults.beam_size),
            num_hypotheses=_or(num_hypotheses, 1),
            length_penalty=_or(length_penalty, defaults.length_penalty),
            max_length=_or(max_length, min(defaults.max_length, longest)),
            min_length=_or(min_length, 0),
        )
        options._check(longest, f"{field}.")
        return options

    def _check(self, longest: int, field: str) -> None:
        _check_between(self.beam_size, 1, MAX_BEAM_SIZE, f"{field}beam_size")
        _check_between(self.num_hypotheses, 1, self.beam_size, f"{field}num_hypotheses", "beam_size")
        _check_between(self.length_penalty, 0, MAX_LENGTH_PENALTY, f"{field}length_penalty")
        _check_between(self.max_length, 1, longest, f"{field}max_length")
        _check_between(self.min_length, 0, self.max_length, f"{field}min_length", "max_length")


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _check_between(value: float, lowest: float, highest: float, field: str, of: str = "") -> None:
    if not lowest <= value <= highest:  # NaN is between nothing
        because = f" ({of})" if of else ""
        raise InvalidInput(f"{field} must be {lowest:g} to {highest:g}{because}, not {value:g}", field=field)
