"""The options of a search as one model carries them out: what is asked of its graph, and under which rules."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from service.bundle import Bundle
from service.bundle.tokenizer import BOS, UNK, Tokenizer
from service.errors import InvalidInput
from service.step import Drawing, Wiring
from service.tasks.decoding.constraints import Constraints
from service.tasks.decoding.options import ATTENTION, DecodingOptions
from service.tasks.decoding.stops import Stopper

WIRING = Wiring("step", chosen="token", size="k", choices="top_tokens", scores="top_log_probs")
"""Of every graph that writes tokens; some tell the log-probabilities of all, too."""
EVERYTHING = "all_log_probs"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search has to know beside the state and the contexts that it begins with."""

    options: DecodingOptions
    wiring: Wiring = WIRING
    tokenizer: Tokenizer | None = None
    forced: tuple[int, ...] = ()
    """Tokens that the output begins with."""
    banned: tuple[int, ...] = ()
    """Tokens that are never chosen."""
    seed: int = 0
    """What is drawn with."""
    first: int = BOS
    """The token that the first step takes."""

    @classmethod
    def of(
        cls, bundle: Bundle, options: DecodingOptions, *, seed: int | None = None, field: str = "options"
    ) -> Self:
        """The plan for a model; `seed` is taken where the caller gave none, else any; InvalidInput."""
        tokenizer = bundle.tokenizer
        if options.seed is not None:
            seed = options.seed
        elif seed is None:
            seed = secrets.randbits(64)
        return cls(
            options,
            wiring_of(bundle),
            tokenizer,
            _forced(options, tokenizer, f"{field}.target_prefix"),
            (UNK,) if bundle.manifest.writes_unknowns and not options.replace_unknowns else (),
            seed if options.draws else 0,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the graph has to tell beside the choices."""
        return (ATTENTION,) if self.options.needs_attention else ()

    @property
    def num_told(self) -> int:
        """How many of the best choices are told with each token: as many as are wanted beside it."""
        num = self.options.num_alternatives
        return num + 1 if num else 0

    @property
    def has_rules(self) -> bool:
        """Whether more than the best tokens has to be known, or where the text ends."""
        options = self.options
        changes = options.repetition_penalty != 1 or options.no_repeat_ngram_size
        return bool(changes or options.stop or self.forced or self.banned)

    def rules(self, written: Iterable[int]) -> Constraints:
        """The rules for what comes after these tokens."""
        return Constraints(
            written,
            repetition_penalty=self.options.repetition_penalty,
            ngram_size=self.options.no_repeat_ngram_size,
            forced=self.forced,
            banned=self.banned,
            stopper=self.stopper(),
        )

    def stopper(self) -> Stopper | None:
        """Who looks for the stop texts of an output from its beginning; None where there are none."""
        if not self.options.stop or self.tokenizer is None:
            return None
        return Stopper(self.tokenizer, self.options.stop, len(self.forced))

    def drawing(self, place: int) -> Drawing | None:
        """How tokens are drawn from this place of the output on; None where the best is taken."""
        options = self.options
        if not options.draws:
            return None
        return Drawing(self.seed, place, options.sampling_topk, options.sampling_topp, options.temperature)


def wiring_of(bundle: Bundle) -> Wiring:
    """How a model's `step` graph is wired."""
    step = bundle.manifest.graphs["step"]
    tells_all = any(tensor.name == EVERYTHING for tensor in step.outputs)
    return replace(WIRING, everything=EVERYTHING if tells_all else "", num_choices=bundle.tokenizer.size)


def _forced(options: DecodingOptions, tokenizer: Tokenizer, field: str) -> tuple[int, ...]:
    """The tokens of the forced beginning."""
    text = options.target_prefix
    tokens = tokenizer.encode(text) if text else []
    if text and not tokens:
        raise InvalidInput(f"{field} holds nothing that can be written", field=field)
    if UNK in tokens:
        raise InvalidInput(f"{field} holds characters that the model cannot write: {text!r}", field=field)
    if len(tokens) > options.max_length:
        raise InvalidInput(
            f"{field} has {len(tokens)} tokens; the output may have {options.max_length}", field=field
        )
    return tuple(tokens)
