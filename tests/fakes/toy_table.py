"""A decoder that is a table: what may follow what was written, with random probabilities that depend on all of it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from service.bundle.tokenizer import BOS, EOS
from service.scheduler.columns import Columns, Entry
from service.scheduler.rollouts import all_log_probs
from service.step import Array, Arrays, Chosen, Result, Rolled, Rollout, Row, Step
from service.tasks.decoding import DecodingOptions, Finish, Found, Plan, ScoredToken
from service.tasks.decoding.hypothesis import normalized
from service.tasks.decoding.plan import WIRING
from service.tasks.jobs import Program, T
from tests.fakes.toy_bundles import toy_tokenizer

FIRST_WORD = 4
SOURCE_LENGTH = 3
SOURCE: Arrays = {"memory": np.zeros(SOURCE_LENGTH)}
"""What the model looks at, in vain."""


@dataclass
class TableModel:
    num_words: int
    seed: int
    is_coarse: bool = False
    """Probabilities come in few sizes, so that many are equal."""
    rows: int = 0
    tables: dict[tuple[int, ...], dict[int, float]] = field(default_factory=dict)

    def follow(self, prefix: tuple[int, ...]) -> dict[int, float]:
        """Log-probability of each token after what was written; the end of the sentence among them."""
        if prefix not in self.tables:
            random = np.random.default_rng([self.seed, *prefix])
            logits = (
                random.integers(0, 2, self.num_words + 1)
                if self.is_coarse
                else random.normal(0, 2, self.num_words + 1)
            )
            log_probs = (logits - np.log(np.exp(logits).sum())).astype(np.float32)
            tokens = [EOS, *range(FIRST_WORD, FIRST_WORD + self.num_words)]
            self.tables[prefix] = dict(zip(tokens, map(float, log_probs), strict=True))
        return self.tables[prefix]

    def looked(self, prefix: tuple[int, ...]) -> Array:
        """Where the step after this looks."""
        shares = np.random.default_rng([self.seed, 1, *prefix]).dirichlet([0.5] * SOURCE_LENGTH)
        return np.asarray(shares, np.float32)

    def run(self, step: Step) -> Result:
        self.rows += 1
        token = int(step.inputs["token"])
        prefix = () if token == BOS else (*map(int, step.state["prefix"]), token)
        ranked = sorted(self.follow(prefix).items(), key=lambda item: -item[1])[: int(step.inputs["k"])]
        outputs: Arrays = {
            "top_tokens": np.array([token for token, _ in ranked], np.int64),
            "top_log_probs": np.array([log_prob for _, log_prob in ranked], np.float32),
            "attention": self.looked(prefix),
        }
        return Result(outputs, {"prefix": np.array(prefix, np.int64)})

    def plan(self, options: DecodingOptions) -> Plan:
        """The plan for this model, whose words are those of the toy tokenizer."""
        tokenizer = toy_tokenizer()
        wiring = replace(WIRING, num_choices=FIRST_WORD + self.num_words)
        forced = tuple(tokenizer.encode(options.target_prefix))
        return Plan(options, wiring, tokenizer, forced, seed=options.seed or 0)

    def drive(self, program: Program[T]) -> T:
        """Run a program to its end."""
        answer = self.drive_for(10**6, program)
        assert answer is not None, "the program never ended"
        return answer

    def drive_for(self, num_steps: int, program: Program[T]) -> T | None:
        """Run so many steps of a program; its answer, if it has come to its end."""
        told: Any = None
        while True:
            try:
                ask = program.send(told)
            except StopIteration as end:
                answer: T = end.value
                return answer
            if isinstance(ask, Rollout):
                told = self._roll(ask, num_steps)
            else:
                told = [self.run(step) for step in ask] if num_steps else None
                num_steps -= 1
            if told is None:
                return None

    def _roll(self, rollout: Rollout, num_steps: int) -> Rolled | None:
        """Step by step what a bench does for many; None where the steps do not suffice."""
        wiring, state, columns = rollout.wiring, rollout.state, Columns.of([Entry.of(rollout)])
        ids: list[int] = []
        log_probs: list[float] = []
        told: list[Arrays] = []
        for _ in range(min(num_steps, rollout.max_steps)):
            slots = columns.from_all()
            width = wiring.width(columns.width(), needs_all=bool(slots))
            inputs = {wiring.chosen: columns.last[0], wiring.size: np.array(width)}
            result = self.run(Step(wiring.graph, inputs, state, rollout.context))
            state, outputs = result.state, {name: array[None] for name, array in result.outputs.items()}
            everything = all_log_probs(wiring, outputs, slots) if slots else None
            quiet, ended = columns.choose(outputs[wiring.choices], outputs[wiring.scores], everything, slots)
            ids, log_probs = [*ids, int(columns.last[0])], [*log_probs, float(columns.scores[0])]
            row, told = Row({name: array[None] for name, array in state.items()}, 0), [*told, result.outputs]
            if rollout.sink and not quiet[0]:
                rollout.sink.take(Chosen(ids[-1], log_probs[-1], row, Row(outputs, 0)))
            if ended[0]:
                return Rolled(ids, log_probs, row, told)
        return None

    def all_outputs(self, options: DecodingOptions) -> list[Found]:
        """Every output that there is, best first."""
        found = list(self._outputs((), (), 0.0, options))
        return sorted(found, key=lambda each: -each.score)

    def _outputs(
        self, prefix: tuple[int, ...], tokens: tuple[ScoredToken, ...], total: float, options: DecodingOptions
    ) -> Iterator[Found]:
        if len(prefix) == options.max_length:
            yield Found(tokens, normalized(total, len(prefix), options.length_penalty), Finish.LENGTH)
            return
        for token, log_prob in self.follow(prefix).items():
            if token != EOS:
                yield from self._outputs(
                    (*prefix, token), (*tokens, ScoredToken(token, log_prob)), total + log_prob, options
                )
            elif len(prefix) >= options.min_length:
                score = normalized(total + log_prob, len(prefix) + 1, options.length_penalty)
                yield Found(tokens, score, Finish.END)


def num_outputs(num_words: int, max_length: int) -> int:
    """How many hypotheses there can be at once: all that ended, and all that live."""
    return sum(itertools.accumulate([num_words] * max_length, lambda a, b: a * b, initial=1))


@dataclass
class Told:
    """A sink that remembers, in place of a mailbox."""

    items: list[Any] = field(default_factory=list)

    def take(self, item: Any) -> None:
        self.items.append(item)

    put = take

    @property
    def tokens(self) -> tuple[ScoredToken, ...]:
        return tuple(ScoredToken(item.id, item.log_prob) for item in self.items)
