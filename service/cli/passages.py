"""Texts that are translated sentence by sentence, and what is shown of them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from service.cli import hypotheses, output

if TYPE_CHECKING:
    from service.client import Prose, Translation
    from service.client.options import Decoding

Cut = Callable[[str], "Prose"]

WHOLE = ("target_prefix", "stop", "min_length", "max_length")
"""Options that say how an output begins, ends or how long it is: there is one output, so there is one text."""


@dataclass(frozen=True)
class Passage:
    """A text, and the translation of each of its sentences."""

    prose: "Prose"
    translations: "list[Translation]"

    @property
    def text(self) -> str:
        return self.prose.joined(each.text for each in self.translations)

    @property
    def sentences(self) -> "Iterator[tuple[str, Translation]]":
        return zip(self.prose.sentences, self.translations, strict=True)


def cut(text: str, *, whole: bool) -> "Prose":
    """A text of several sentences; any other one, or the `whole`, as it stands."""
    from service.client import Prose

    prose = Prose.of(text.strip())
    return Prose.whole(text) if whole or len(prose.sentences) < 2 else prose


def stays_whole(asked: "Decoding") -> bool:
    return any(asked.get(field) is not None for field in WHOLE)


def translated(
    texts: Iterable[str], cut: Cut, translate: "Callable[[Iterable[str]], Iterator[Translation]]"
) -> Iterator[Passage]:
    """Each text in order; `translate` may read ahead, on another thread."""
    asked: deque[Prose] = deque()

    def sentences() -> Iterator[str]:
        for text in texts:
            asked.append(cut(text))
            yield from asked[-1].sentences

    found = translate(sentences())
    for first in found:
        prose = asked.popleft()
        yield Passage(prose, [first, *islice(found, len(prose.sentences) - 1)])


def show(text: str, passage: Passage | None, json: bool) -> None:
    """A line for each text; None, a blank one, has no translation."""
    if json:
        output.json_line(_as_json(text, passage))
    elif passage and any(map(_has_more, passage.translations)):
        for _, translation in passage.sentences:
            output.line(translation.text)
            _show_more(translation)
    else:
        output.line(passage.text if passage else "")


def _has_more(translation: "Translation") -> bool:
    return len(translation.hypotheses) > 1 or _has_details(translation)


def _has_details(translation: "Translation") -> bool:
    return any(token.attention or token.alternatives for token in translation.tokens)


def _show_more(translation: "Translation") -> None:
    """What was asked for beside the text."""
    if len(translation.hypotheses) > 1:
        output.table(hypotheses.ranking(translation.hypotheses))
    if _has_details(translation):
        output.table(hypotheses.details(translation))


def _as_json(text: str, passage: Passage | None) -> dict[str, Any]:
    if passage is None:
        return {"text": text, "translation": "", "score": None, "tokens": []}
    if len(passage.translations) == 1:
        return _one_as_json(text, passage.translations[0])
    return {
        "text": text,
        "translation": passage.text,
        "sentences": [_one_as_json(sentence, translation) for sentence, translation in passage.sentences],
    }


def _one_as_json(text: str, translation: "Translation") -> dict[str, Any]:
    return {
        "text": text,
        "translation": translation.text,
        "score": translation.score,
        "finish_reason": translation.finish_reason,
        "model": str(translation.model),
        "tokens": list(map(hypotheses.as_json, translation.tokens)),
        **_more_json(translation),
    }


def _more_json(translation: "Translation") -> dict[str, Any]:
    """What was asked for beside the best output."""
    more: dict[str, Any] = {"seed": translation.seed} if translation.seed else {}
    if translation.source_pieces:
        more["source_pieces"] = translation.source_pieces
    if len(translation.hypotheses) > 1:
        more["hypotheses"] = [
            {"translation": each.text, "score": each.score, "finish_reason": each.finish_reason}
            for each in translation.hypotheses
        ]
    return more
