"""How well language models foretell texts and replies."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from service.cli.measures.report import Asked, Measured, Report, Watch

if TYPE_CHECKING:
    from service.client import Client, Model, Score

CHARACTERS = 40_000
"""Of one text where no window is asked for: the state goes on for so long, or for as much as the model takes."""
AT_ONCE = 16
"""Texts of one request."""
DIGITS = 4


def measure_text(client: "Client", model: "Model", asked: Asked) -> Measured:
    """Nats per token and per character; the state begins anew every `window` characters, or hardly ever."""
    from training.evaluate import of_surprise, read_test_text, surprise_of, together

    watch, size = Watch(model, asked), min(asked.window or CHARACTERS, model.max_input_tokens)
    documents = read_test_text(asked.file, asked.recipe_of(model.name))
    texts = [text[at : at + size] for text in documents for at in range(0, len(text), size)][: asked.limit]
    scores = _scored(client, watch, texts)
    each = [surprise_of(*pair) for pair in zip(texts, _tokens(scores), strict=True)]
    found = together(each)
    more = {
        "nats per character": found.per_character,
        "bits per character": found.per_character / math.log(2),
        "perplexity": found.perplexity,
    }
    rest: Any = {"more": more, "signature": f"log:e|ends:no|window:{size} characters"}
    report = _report(watch, "nats per token", found.per_token, scores, **rest)
    return Measured(report, _answers(scores), of_surprise(each, is_perplexity=False))


def measure_dialogues(client: "Client", model: "Model", asked: Asked) -> Measured:
    """Perplexity of the replies, each after all that was said before it."""
    from training.evaluate import of_surprise, read_test_dialogues, surprise_of_replies, together

    watch = Watch(model, asked)
    dialogues = read_test_dialogues(asked.file, asked.recipe_of(model.name))[: asked.limit]
    scores = _scored(client, watch, ["\n".join(turns) for turns in dialogues])
    each = [surprise_of_replies(*pair) for pair in zip(dialogues, _tokens(scores), strict=True)]
    found = together(each)
    more = {"nats per token": found.per_token, "nats per character": found.per_character}
    rest: Any = {
        "more": more,
        "signature": "replies:all|ends:yes|after:the dialogue",
        "examples": "dialogues",
    }
    report = _report(watch, "perplexity of replies", found.perplexity, scores, **rest)
    return Measured(report, _answers(scores), of_surprise(each, is_perplexity=True))


def _scored(client: "Client", watch: Watch, texts: Sequence[str]) -> "list[Score]":
    parts = [texts[at : at + AT_ONCE] for at in range(0, len(texts), AT_ONCE)]
    asked = (client.score([("", text) for text in part], model=watch.model.name) for part in parts)
    return [score for part in watch.all(asked, len(parts)) for score in part]


def _tokens(scores: "Sequence[Score]") -> list[list[tuple[int, float]]]:
    return [[(token.id, token.log_prob) for token in score.tokens] for score in scores]


def _report(watch: Watch, metric: str, value: float, scores: "Sequence[Score]", **rest: Any) -> Report:
    num_tokens = sum(len(score.tokens) for score in scores)
    return watch.report(metric, value, len(scores), num_tokens, unit="", digits=DIGITS, **rest)


def _answers(scores: "Sequence[Score]") -> list[str]:
    return [f"{score.log_prob:.4f}" for score in scores]
