"""One token after the other: the most probable one at every step, or one that is drawn."""

from collections.abc import Sequence
from typing import Any, Self

from service.bundle.tokenizer import EOS
from service.scheduler import Mailbox
from service.sessions.plain import Plain, under, within
from service.step import Arrays, Chosen, Rolled, Rollout, Row
from service.tasks.decoding.hypothesis import (
    Finish,
    Found,
    ScoredToken,
    normalized,
    tokens_from_plain,
    tokens_to_plain,
    total,
)
from service.tasks.decoding.plan import Plan
from service.tasks.decoding.told import scored
from service.tasks.jobs import Program


class GreedySearch:
    """Chooses a token and goes on: a rollout, whose batch does the choosing for all its members at once.

    What it knows is what has come out of the sink; what was chosen after that is chosen again by who goes on.
    """

    __slots__ = ("_context", "_ended", "_plan", "_state", "_stopper", "_tokens", "found")

    def __init__(self, state: Arrays, context: Arrays, plan: Plan) -> None:
        self._context = context
        self._plan = plan
        self._state: Arrays | Row = state
        """After the last token; a row of its batch where it has been told of one."""
        self._ended: Arrays | None = None
        self._tokens: list[ScoredToken] = []
        self._stopper = plan.stopper()
        """Knows which of the tokens no stop text can take back."""
        self.found: list[Found] | None = None

    def program(self, sink: Mailbox[Any] | None) -> Program[list[Found]]:
        before = tuple(self._tokens)
        if len(before) == self._plan.options.max_length:
            self._ended = self._arrays()
            return [self._whole(before, Rolled([], [], Row({}, 0)))]
        rolled = yield self._rollout(sink)
        self._ended = rolled.state.taken()
        return [self._whole(before, rolled)]

    def follow(self, items: Sequence[Chosen]) -> Sequence[ScoredToken]:
        before = self._num_certain()
        for item in items:
            outputs = item.outputs.taken() if item.outputs is not None and self._is_told else {}
            self._add(scored(self._plan, self._context, item.id, item.log_prob, outputs))
        if items:
            self._state = items[-1].state
        return self._tokens[before : self._num_certain()]

    def written(self) -> Sequence[ScoredToken]:
        return self._tokens[: self._num_certain()]

    def ended(self) -> Arrays | None:
        return self._ended

    def checkpoint(self) -> Self:
        copy = type(self)(self._arrays(), self._context, self._plan)
        for token in self._tokens:
            copy._add(token)
        copy.found = self.found
        return copy

    def to_plain(self) -> Plain:
        arrays = {
            **under("state", self._arrays()),
            **under("context", self._context),
            **tokens_to_plain("written", self._tokens),
        }
        return Plain({"kind": "greedy"}, arrays)

    @classmethod
    def from_plain(cls, plain: Plain, terms: Plan) -> Self:
        arrays = plain.arrays
        search = cls(within("state", arrays), within("context", arrays), terms)
        for token in tokens_from_plain("written", arrays):
            search._add(token)
        return search

    @property
    def _is_told(self) -> bool:
        return bool(self._plan.num_told or self._plan.outputs)

    def _add(self, token: ScoredToken) -> None:
        self._tokens.append(token)
        if self._stopper is not None:
            self._stopper.push(token.id)

    def _num_certain(self) -> int:
        return len(self._tokens) if self._stopper is None else self._stopper.num_certain

    def _arrays(self) -> Arrays:
        return self._state.taken() if isinstance(self._state, Row) else self._state

    def _rollout(self, sink: Mailbox[Any] | None) -> Rollout:
        plan, num, options = self._plan, len(self._tokens), self._plan.options
        return Rollout(
            plan.wiring,
            self._tokens[-1].id if num else plan.first,
            self._arrays(),
            self._context,
            stop=EOS,
            max_steps=options.max_length - num,
            min_steps=options.min_length - num,
            sink=sink,
            drawing=plan.drawing(num),
            rule=plan.rules(token.id for token in self._tokens) if plan.has_rules else None,
            num_told=plan.num_told,
            tells=plan.outputs,
        )

    def _whole(self, before: Sequence[ScoredToken], rolled: Rolled) -> Found:
        plan, options = self._plan, self._plan.options
        outputs = rolled.outputs or [{}] * len(rolled.ids)
        chosen = [
            scored(plan, self._context, *each)
            for each in zip(rolled.ids, rolled.log_probs, outputs, strict=True)
        ]
        every = (*before, *chosen)
        score = normalized(total(every, options.repetition_penalty), len(every), options.length_penalty)
        has_ended = rolled.ids[-1:] == [EOS]
        tokens = every[:-1] if has_ended else every
        stopper = plan.stopper()
        if stopper is not None and stopper.push_all(token.id for token in tokens):
            num, last_chars = stopper.cut()
            return Found(tokens[:num], score, Finish.STOP, last_chars, plan.seed)
        return Found(tokens, score, Finish.END if has_ended else Finish.LENGTH, None, plan.seed)
