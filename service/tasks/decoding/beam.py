"""Beam search: several hypotheses side by side, each a row of its own in the batch.

Each cycle, every live hypothesis offers its best continuations; of all these the best `room` are kept, and one that
ends (the sentence, or with a stop text) is finished and gives up its place, so `room` = beam_size − finished. The
search is over when

- no live hypothesis is left (at the latest at max_length, where what lives is finished with LENGTH), or
- num_hypotheses have finished and no live one can beat the worst of the best num_hypotheses: log-probabilities only
  fall and the coverage penalty is never above 0, so a live one never scores more than its sum so far under the length
  penalty of the longest output.

Equal candidates keep the order of their parents, then the engine's. With a beam of 1 this is greedy search, and with
one as large as the number of all outputs it finds the best of them (tests prove both).

A token is certain, and told, when all that may still become the best output have it: the live ones that can beat the
best finished one, and that one.
"""

from collections.abc import Sequence
from typing import Any, Self

from service.bundle.tokenizer import EOS
from service.errors import StepFailed
from service.scheduler import Mailbox
from service.sessions.plain import Plain, under, within
from service.step import Arrays, Result, Step
from service.tasks.decoding.hypothesis import (
    Finish,
    Found,
    ScoredToken,
    all_from_plain,
    all_to_plain,
    covered,
    found_from_plain,
    found_to_plain,
    normalized,
    tokens_from_plain,
    tokens_to_plain,
)
from service.tasks.decoding.live import Beam, Live, Offer, first_live
from service.tasks.decoding.plan import Plan
from service.tasks.decoding.told import scored
from service.tasks.jobs import Program


class BeamSearch:
    """The best `num_hypotheses` outputs that the beam finds, best first."""

    __slots__ = ("_at", "_context", "_plan", "found")

    def __init__(self, state: Arrays, context: Arrays, plan: Plan) -> None:
        self._context = context
        self._plan = plan
        self._at = Beam((first_live(state, plan.first),))
        self.found: list[Found] | None = None

    def program(self, sink: Mailbox[Any] | None) -> Program[list[Found]]:
        while self.found is None:
            offers = [Offer.of(self._plan, live) for live in self._at.live]
            results = yield self._steps(offers)
            tokens = self._advance(offers, results)
            if sink is not None:
                for token in tokens:
                    sink.put(token)
        return self.found

    def follow(self, items: Sequence[ScoredToken]) -> Sequence[ScoredToken]:
        """Nothing to take note of: it is one value that its program replaces in one go."""
        return items

    def written(self) -> Sequence[ScoredToken]:
        return self._at.certain

    def ended(self) -> Arrays | None:
        return None

    def checkpoint(self) -> Self:
        copy = type(self)({}, self._context, self._plan)
        copy._at = self._at
        copy.found = self.found
        return copy

    def to_plain(self) -> Plain:
        at = self._at
        arrays = {**under("context", self._context), **tokens_to_plain("certain", at.certain)}
        for index, live in enumerate(at.live):
            arrays |= live.to_plain(f"live/{index}")
        for index, found in enumerate(at.finished):
            arrays |= found_to_plain(f"finished/{index}", found)
        facts = {
            "kind": "beam",
            "num_steps": at.num_steps,
            "live": len(at.live),
            "finished": len(at.finished),
            "found": len(self.found or ()),
        }
        return Plain(facts, arrays | all_to_plain(self.found))

    @classmethod
    def from_plain(cls, plain: Plain, terms: Plan) -> Self:
        arrays, facts = plain.arrays, plain.facts
        search = cls({}, within("context", arrays), terms)
        live = tuple(Live.from_plain(f"live/{index}", arrays) for index in range(facts["live"]))
        finished = (found_from_plain(f"finished/{index}", arrays) for index in range(facts["finished"]))
        certain = tokens_from_plain("certain", arrays) if "certain/ids" in arrays else ()
        search._at = Beam(live, tuple(finished), facts["num_steps"], certain)
        search.found = all_from_plain(plain)
        return search

    def _steps(self, offers: Sequence[Offer]) -> Sequence[Step]:
        needs_all = any(offer.needs_all for offer in offers)
        return [offer.step(self._context, needs_all=needs_all) for offer in offers]

    def _advance(self, offers: Sequence[Offer], results: Sequence[Result]) -> Sequence[ScoredToken]:
        """Take in the results of one cycle; the tokens that have become certain."""
        growing = _Growing(self._plan, self._at, self._context)
        grown = growing.grow(offers, results)
        if not grown.live:
            self.found = growing.best()
        # Last, so that whoever sees that nothing lives also sees what was found.
        before, self._at = len(self._at.certain), grown
        return grown.certain[before:]


class _Growing:
    """One more token for each hypothesis: what finishes, and which continuations are worth going on with."""

    def __init__(self, plan: Plan, beam: Beam, context: Arrays) -> None:
        self._plan = plan
        self._options = plan.options
        self._context = context
        self._live = beam.live
        self._certain = beam.certain
        self._finished = list(beam.finished)
        self._num_steps = beam.num_steps

    def grow(self, offers: Sequence[Offer], results: Sequence[Result]) -> Beam:
        """The beam after one more token; nothing lives when the search is over."""
        may_end = self._num_steps >= self._options.min_length
        self._num_steps += 1
        grown: list[Live] = []
        ranked = [
            (self._live[index].log_prob + worth, index, token, log_prob)
            for index, (offer, result) in enumerate(zip(offers, results, strict=True))
            for worth, token, log_prob in offer.best(result, may_end=may_end)
        ]
        ranked.sort(key=lambda candidate: -candidate[0])
        for worth, index, token, log_prob in ranked[: self._room()]:
            chosen = scored(self._plan, self._context, token, log_prob, results[index].outputs)
            self._go_on(self._live[index].then(chosen, worth, results[index]), grown)
        if not grown and not self._finished:
            raise StepFailed("the model gave no usable probabilities")
        live = tuple(self._worth_going_on(grown))
        return Beam(live, tuple(self._finished), self._num_steps, self._now_certain(live))

    def best(self) -> list[Found]:
        """The best outputs; equal ones in the order in which they finished."""
        ranked = sorted(self._finished, key=lambda found: -found.score)
        return ranked[: self._options.num_hypotheses]

    def _room(self) -> int:
        return self._options.beam_size - len(self._finished)

    def _go_on(self, live: Live, grown: list[Live]) -> None:
        """Finish what has come to its end; the rest has grown."""
        stopper = self._plan.stopper()
        if live.tokens[-1].id == EOS:
            self._finish(live.tokens[:-1], live, Finish.END)
        elif stopper is not None and stopper.push_all(token.id for token in live.tokens):
            num, last_chars = stopper.cut()
            self._finish(live.tokens[:num], live, Finish.STOP, last_chars)
        else:
            grown.append(live)

    def _worth_going_on(self, grown: list[Live]) -> list[Live]:
        if self._num_steps == self._options.max_length:
            for live in grown:
                self._finish(live.tokens, live, Finish.LENGTH)
            return []
        return [] if self._is_decided(grown) else grown

    def _is_decided(self, grown: Sequence[Live]) -> bool:
        if not grown or len(self._finished) < self._options.num_hypotheses:
            return False
        worst = self.best()[-1].score
        return not any(self._can_beat(worst, live) for live in grown)

    def _can_beat(self, score: float, live: Live) -> bool:
        best_case = normalized(live.log_prob, self._options.max_length, self._options.length_penalty)
        return best_case > score

    def _finish(
        self, tokens: tuple[ScoredToken, ...], live: Live, finish: Finish, last_chars: int | None = None
    ) -> None:
        score = normalized(live.log_prob, self._num_steps, self._options.length_penalty)
        if self._options.coverage_penalty and live.coverage is not None:
            score += covered(live.coverage, self._options.coverage_penalty)
        self._finished.append(Found(tokens, score, finish, last_chars))

    def _now_certain(self, live: Sequence[Live]) -> tuple[ScoredToken, ...]:
        """The beginning that all outputs share which may still be the best, as far as no stop text takes it back."""
        if not live:
            return self._certain
        best = max(self._finished, key=lambda found: found.score, default=None)
        rivals = [each.tokens for each in live if best is None or self._can_beat(best.score, each)]
        rivals += [best.tokens] if best else []
        shared = _shared(rivals, len(self._certain))
        stopper = self._plan.stopper()
        if stopper is not None:
            stopper.push_all(token.id for token in rivals[0][:shared])
            shared = max(stopper.num_certain, len(self._certain))
        return rivals[0][:shared]


def _shared(outputs: Sequence[tuple[ScoredToken, ...]], known: int) -> int:
    """How many tokens all of them begin with; so many are known."""
    shortest = min(map(len, outputs))
    return next(
        (at for at in range(known, shortest) if len({output[at].id for output in outputs}) > 1), shortest
    )
