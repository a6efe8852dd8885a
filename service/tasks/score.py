"""Scoring of outputs that are given: how probable each of their tokens is to the model."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.bundle.tokenizer import BOS, EOS
from service.config import LimitSettings
from service.registry import Served
from service.sessions import NOTHING_READ
from service.step import Rolled, Rollout
from service.tasks.decoding import ScoredToken
from service.tasks.decoding.constraints import Constraints
from service.tasks.decoding.plan import wiring_of
from service.tasks.jobs import Program, run_all
from service.tasks.outputs import Token, TokenWriter
from service.tasks.reader import Reader
from service.tasks.texts import TooLong, tokens_of


@dataclass(frozen=True, slots=True)
class Pair:
    """An output, and what it is the output for."""

    source: str
    """Empty for models that read none."""
    target: str


@dataclass(frozen=True, slots=True)
class TargetScore:
    """The tokens of one output, its end last where the model writes one."""

    tokens: tuple[Token, ...]

    @property
    def log_prob(self) -> float:
        """Of the whole output."""
        return sum(token.log_prob for token in self.tokens)


async def score_translations(
    served: Served, pairs: Sequence[Pair], limits: LimitSettings, too_long: TooLong
) -> list[TargetScore]:
    """Of translations: each text is read, and then made to be translated as it was."""
    bundle, longest = served.bundle, served.manifest.limits.max_output_tokens
    sources = await tokens_of(
        [pair.source for pair in pairs], bundle, limits, too_long, field="pairs[{}].source"
    )
    targets = await tokens_of(
        [pair.target for pair in pairs],
        bundle,
        limits,
        too_long,
        field="pairs[{}].target",
        max_tokens=longest,
    )
    programs = [_scored(served, *each) for each in zip(sources, targets, strict=True)]
    found = await run_all(served.scheduler, programs)
    return [TargetScore(TokenWriter(bundle.tokenizer).write(tokens)) for tokens in found]


def _scored(served: Served, source: Sequence[int], target: Sequence[int]) -> Program[list[ScoredToken]]:
    reader, forced = Reader.of(served.manifest, "encode"), (*target, EOS)
    reading, _ = yield from reader.read([*source, EOS], NOTHING_READ)
    rolled: Rolled = yield Rollout(
        wiring_of(served.bundle),
        BOS,
        reading.state,
        reading.context(reader.contexts),
        stop=EOS,
        max_steps=len(forced),
        rule=Constraints(forced=forced),
    )
    return [ScoredToken(*pair) for pair in zip(rolled.ids, rolled.log_probs, strict=True)]
