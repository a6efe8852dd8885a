import pytest

from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.tasks import texts
from service.tasks.texts import TooLong, tokens_of

LIMITS = LimitSettings(max_texts=3, max_text_bytes=200)


async def tokens(served: Served, *given: str, too_long: TooLong = TooLong.REFUSE) -> list[list[int]]:
    return await tokens_of(given, served.bundle, LIMITS, too_long)


async def test_texts_become_tokens_in_order(translator: Served) -> None:
    assert await tokens(translator, "uno dos", "tres") == [[4, 5], [6]]


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u00a0\u2003", "\x00\x07\x1b"])
async def test_a_text_without_a_word_is_refused(translator: Served, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"texts\[1\].*expected at least one word") as refused:
        await tokens(translator, "uno", text)
    assert refused.value.field == "texts[1]"


async def test_control_characters_are_white_space(translator: Served) -> None:
    assert await tokens(translator, "uno\x00dos\x1btres\x7fcuatro\r\n") == [[4, 5, 6, 7]]


async def test_a_lone_surrogate_is_refused_with_its_place(translator: Served) -> None:
    with pytest.raises(InvalidInput, match=r"texts\[0\] holds a lone surrogate at character 4") as refused:
        await tokens(translator, "uno \ud800")
    assert refused.value.field == "texts[0]"


@pytest.mark.parametrize("text", ["Ωμέγα", "図書館はどこですか", "🙂🙂", "\u200b", "\ufeff"])
async def test_another_script_is_read_as_unknown_words(translator: Served, text: str) -> None:
    [ids] = await tokens(translator, text)
    assert set(ids) == {3}


async def test_a_text_that_is_too_long_is_refused_with_its_length_and_the_limit(translator: Served) -> None:
    with pytest.raises(InvalidInput, match=r"has 21 tokens; toy-es-en reads at most 20.*TOO_LONG_TRUNCATE"):
        await tokens(translator, "uno " * 21)


async def test_a_text_that_is_too_long_is_cut_when_asked(translator: Served) -> None:
    assert await tokens(translator, "uno " * 21, too_long=TooLong.TRUNCATE) == [[4] * 20]


async def test_a_text_beyond_all_measure_is_refused_by_its_bytes(translator: Served) -> None:
    with pytest.raises(InvalidInput, match="has 202 bytes; the limit is 200"):
        await tokens(translator, "ñ" * 101, too_long=TooLong.TRUNCATE)


@pytest.mark.parametrize("number", [0, 4])
async def test_the_number_of_texts_has_bounds(translator: Served, number: int) -> None:
    with pytest.raises(InvalidInput, match=f"expected 1 to 3 texts in one request, not {number}") as refused:
        await tokens(translator, *["uno"] * number)
    assert refused.value.field == "texts"


async def test_long_texts_are_tokenized_beside_the_event_loop(
    translator: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "_AT_ONCE", 5)
    assert await tokens(translator, "uno dos", "tres") == [[4, 5], [6]]
