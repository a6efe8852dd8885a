"""Engines whose answers can be computed by hand.

Translation: the i-th word out is the i-th word in, ten further in the vocabulary (uno → one; unknown words → ten), and
the sentence ends where it ended. The best continuation has log-probability -1/4, the second (the end, or "one" where
the end is best) -2/4, and so on through the English words. Three quarters of the attention are on the word that is
translated; a model that may write unknown tokens would rather write one than "ten".

Classification: the label is the sum of the tokens modulo 3, with probability 1/2; the next ones have 3/8 and 1/8.
"""

import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from service.bundle import Bundle
from service.bundle.manifest import Manifest
from service.bundle.tokenizer import BOS, EOS, UNK
from service.errors import StepFailed
from service.step import Array, Arrays, Result, Step
from tests.fakes.by_rows import ByRows
from tests.fakes.toy_bundles import LABELS, VOCABULARY_SIZE

OFFSET = 10
POISON = 13
"""diez: a text that holds it cannot be read."""
FIRST_ENGLISH = 14
PATIENCE_S = 250.0
"""How long a batch is held at most; it is less than what a test may take."""


class ToyEngine:
    """Counts what it runs; can be held before its next batch, so that tests choose what happens meanwhile."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.rows: Counter[str] = Counter()
        """Steps run, by graph."""
        self.batches: list[tuple[str, int]] = []
        """(graph, rows) of each batch."""
        self.on_batch: Callable[[str, int], None] = lambda graph, rows: None
        self.running = threading.Event()
        """Set as soon as a batch waits to be let go."""
        self._may_run = threading.Semaphore(0)
        self._held = False
        self._interrupted = False

    def hold(self) -> None:
        """Let no batch run but those that `let` allows."""
        if not self._held:
            self._may_run = threading.Semaphore(0)  # what was let go may go on with the old one
            self.running.clear()
        self._held = True

    def let(self, batches: int = 1) -> None:
        """Let so many batches run while held."""
        self._may_run.release(batches)

    def let_go(self) -> None:
        """Hold no longer."""
        self._held = False
        self._may_run.release(1000)

    def run(self, graph: str, steps: Sequence[Step]) -> list[Result]:
        if self._held:
            may_run = self._may_run
            self.running.set()
            assert may_run.acquire(timeout=PATIENCE_S)
        if self._interrupted:
            self._interrupted = False
            raise StepFailed("interrupted")
        self.on_batch(graph, len(steps))
        run = write_unknown if graph == "step" and self.manifest.writes_unknowns else _GRAPHS[graph]
        results = [run(step) for step in steps]
        self.rows[graph] += len(steps)
        self.batches.append((graph, len(steps)))
        return results

    def resident(self, graph: str) -> ByRows:
        return ByRows(graph, self.run)

    def warm_up(self) -> None:
        pass

    def interrupt(self) -> None:
        """A batch that waits fails."""
        self._interrupted = self._held
        self.let()

    def close(self) -> None:
        self.let_go()


class ToyEngines:
    """Makes the engine of each bundle and remembers it by the model's name."""

    def __init__(self) -> None:
        self.of: dict[str, ToyEngine] = {}

    def __call__(self, bundle: Bundle) -> ToyEngine:
        engine = self.of[bundle.manifest.name] = ToyEngine(bundle.manifest)
        return engine


def encode(step: Step) -> Result:
    tokens = step.inputs["tokens"]
    _check_poison(tokens)
    num_read = step.state.get("num_read", np.zeros(1, np.int64)) + len(tokens)
    # The place of a token in the text is part of what is remembered of it, so that chunks must join up.
    memory = tokens * 1000 + np.arange(num_read[0] - len(tokens), num_read[0])
    return Result({}, {"num_read": num_read, "position": np.zeros(1, np.int64)}, {"memory": memory})


def write(step: Step) -> Result:
    position, memory = int(step.state["position"][0]), step.context["memory"]
    token, expected = int(step.inputs["token"]), _word(memory, position - 1) if position else BOS
    if position and token not in (expected, UNK, *range(FIRST_ENGLISH, VOCABULARY_SIZE)):
        raise StepFailed(f"token {token} follows nothing")
    best = _word(memory, position)
    return _ranked(step, [best, EOS, *range(FIRST_ENGLISH, VOCABULARY_SIZE)])


def write_unknown(step: Step) -> Result:
    """As `write`, but with an unknown token before "ten"."""
    place = min(int(step.state["position"][0]), len(step.context["memory"]) - 1)
    if step.context["memory"][place] // 1000 != UNK:
        return write(step)
    return _ranked(step, [UNK, VOCABULARY_SIZE - 1, EOS, *range(FIRST_ENGLISH, VOCABULARY_SIZE)])


def _ranked(step: Step, tokens: list[int]) -> Result:
    position, length = int(step.state["position"][0]), len(step.context["memory"])
    ranked = list(dict.fromkeys(tokens))[: int(step.inputs["k"])]
    log_probs = -np.arange(1, len(ranked) + 1, dtype=np.float32) / 4
    looked = np.full(length, 0.25 / max(1, length - 1), np.float32)
    looked[min(position, length - 1)] = 0.75
    outputs: Arrays = {
        "top_tokens": np.array(ranked, np.int64),
        "top_log_probs": log_probs,
        "attention": looked,
    }
    return Result(outputs, {"position": np.array([position + 1])})


def classify(step: Step) -> Result:
    tokens = step.inputs["tokens"]
    _check_poison(tokens)
    total = step.state.get("total", np.zeros(1, np.int64)) + tokens.sum()
    probabilities = np.roll([0.5, 0.375, 0.125], int(total[0]) % len(LABELS))
    return Result({"log_probs": np.log(probabilities).astype(np.float32)}, {"total": total})


def translated(text: str) -> str:
    """What the toy writes for known words."""
    from tests.fakes.toy_bundles import ENGLISH, SPANISH

    return " ".join(ENGLISH[SPANISH.index(word)] for word in text.split())


def greedy_score(num_words: int, length_penalty: float = 1.0) -> float:
    """Every step -1/4, the end of the sentence counted in."""
    steps = num_words + 1
    return -steps / 4 / math.pow((5 + steps) / 6, length_penalty)


def _word(memory: Array, position: int) -> int:
    if position >= len(memory):
        return EOS
    token, place = divmod(int(memory[position]), 1000)
    assert place == position, "chunks were joined in the wrong order"
    return EOS if token == EOS else token + OFFSET if token in range(4, POISON) else VOCABULARY_SIZE - 1


def _check_poison(tokens: Array) -> None:
    if POISON in tokens:
        raise StepFailed("diez cannot be read")


_GRAPHS = {"encode": encode, "step": write, "classify": classify}
