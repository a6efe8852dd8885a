"""Which models say how probable a given output is."""

from collections.abc import Awaitable, Callable, Sequence

from service.config import LimitSettings
from service.errors import NotPossible
from service.registry import Served
from service.tasks.score import Pair, TargetScore, score_translations
from service.tasks.score_language import score_texts
from service.tasks.texts import TooLong

Scorer = Callable[[Served, Sequence[Pair], LimitSettings, TooLong], Awaitable[list[TargetScore]]]
SCORERS: dict[str, Scorer] = {
    "translate": score_translations,
    "generate": score_texts,
    "chat": score_texts,
}
"""By task."""


async def score(
    served: Served, pairs: Sequence[Pair], limits: LimitSettings, too_long: TooLong
) -> list[TargetScore]:
    """The scores in the order of the pairs; all or none."""
    if served.manifest.task not in SCORERS:
        raise NotPossible(f"{served.manifest.name} does not write: there is nothing to score")
    return await SCORERS[served.manifest.task](served, pairs, limits, too_long)
