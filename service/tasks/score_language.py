"""Scoring of texts by language models: all tokens of a text in one pass, chunk by chunk."""

from collections.abc import Sequence

import numpy as np

from service.bundle.tokenizer import BOS, EOS
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible
from service.registry import Served
from service.sessions import NOTHING_READ
from service.step import Step
from service.tasks.decoding import ScoredToken
from service.tasks.generate import read_before
from service.tasks.jobs import Program, run_all
from service.tasks.outputs import TokenWriter
from service.tasks.reader import MAX_CHUNK, Reader
from service.tasks.score import Pair, TargetScore
from service.tasks.texts import TooLong, prompts_of

GRAPH = "score"


async def score_texts(
    served: Served, pairs: Sequence[Pair], limits: LimitSettings, too_long: TooLong
) -> list[TargetScore]:
    """Of texts after what stands before them; of the turns of dialogues, a line each, their ends too."""
    bundle, ends = served.bundle, [EOS] if served.manifest.task == "chat" else []
    if GRAPH not in served.manifest.graphs:
        raise NotPossible(f"{served.manifest.name} was exported without the graph {GRAPH!r}: export it again")
    sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
    before = await prompts_of(sources, bundle, limits, too_long, field="pairs[{}].source")
    scored = await prompts_of(targets, bundle, limits, too_long, field="pairs[{}].target")
    for index, tokens in enumerate(scored):
        if not tokens:
            field = f"pairs[{index}].target"
            raise InvalidInput(f"{field} holds nothing that could be scored", field=field)
    programs = [
        _scored(served, read_before(served, source) if source else [BOS], [*target, *ends])
        for source, target in zip(before, scored, strict=True)
    ]
    found = await run_all(served.scheduler, programs)
    return [TargetScore(TokenWriter(bundle.tokenizer).write(tokens)) for tokens in found]


def _scored(served: Served, before: Sequence[int], target: Sequence[int]) -> Program[list[ScoredToken]]:
    """`before` ends with the token that the first of `target` follows."""
    reading, _ = yield from Reader.of(served.manifest, "read").read(before[:-1], NOTHING_READ)
    read, state = np.array([before[-1], *target[:-1]], np.int64), reading.state
    following, found = np.array(target, np.int64), []
    for start in range(0, len(read), MAX_CHUNK):
        chunk = {
            "tokens": read[start : start + MAX_CHUNK],
            "next": following[start : start + MAX_CHUNK],
        }
        (result,) = yield (Step(GRAPH, chunk, state),)
        found += result.outputs["log_probs"].tolist()
        state = result.state
    return [ScoredToken(*pair) for pair in zip(target, found, strict=True)]
