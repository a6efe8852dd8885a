import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client import Prose, sentences

ABRUPT = st.text(st.sampled_from(list("aAñÁ1 \n.!?…。！\"'«»“”()¿¡-字हJ")), max_size=40)
"""Texts in which something may begin or end nearly everywhere."""


@given(st.text() | ABRUPT)
def test_the_sentences_joined_are_the_text_again(text: str) -> None:
    prose = Prose.of(text)
    assert prose.joined(prose.sentences) == text
    assert all(gap.strip() == "" for gap in prose.gaps)


@given(st.text() | ABRUPT)
def test_no_sentence_is_blank_or_has_white_space_around_it(text: str) -> None:
    found = sentences(text)
    assert all(sentence and sentence == sentence.strip() for sentence in found)
    assert bool(found) == bool(text.strip())


@given(st.text() | ABRUPT)
def test_of_several_each_holds_a_letter_and_the_last_at_least_a_digit(text: str) -> None:
    *before, last = sentences(text) or [""]
    assert all(any(map(str.isalpha, sentence)) for sentence in before)
    assert not before or any(map(str.isalnum, last))


@given(
    st.lists(st.sampled_from(["Uno dos.", "¿Tres?", "¡Ya!", "Él vino…", "«Sí».", "Nº 5 (seis)."]), min_size=1)
)
def test_plain_sentences_are_found_whatever_their_number(written: list[str]) -> None:
    assert sentences(" ".join(written)) == written


@pytest.mark.parametrize(
    "parts",
    [
        ["Me llamo Juan.", "Vivo en Madrid.", "¿Y tú?", "¡Yo no!", "Bueno…", "Pues nada."],
        ['"Are you hungry?"', "He nodded.", '"I am."', "(So was I.)", "We ate."],
        ["Dijo «no».", "—¡Hola!", "—¿Quién es?", "“Nadie”.", "Se fue."],
        ["He came at 5 p.m.", "Then we ate."],
        ["Compré pan, leche, etc.", "Luego dormí."],
        ["Nací en 1990.", "2 años después nos fuimos."],
        ["No.", "Vamos a casa."],
        ["Buenos días, Dr.", "¿Puedo pasar?"],
        ["Viven en EE. UU.", "Tienen un perro."],
        ["Vino.", "😀 Se fue."],
        ["¿Vienes?", "¿cuándo?"],
        ["मैं जुआन हूँ।", "मैं मैड्रिड में रहता हूँ।"],
    ],
)
def test_a_sentence_ends_where_the_next_one_can_begin(parts: list[str]) -> None:
    assert sentences(" ".join(parts)) == parts


@pytest.mark.parametrize(
    "text",
    [
        "El Sr. Pérez y la Sra. López hablaron con el Dr. Ruiz.",
        "Mr. Smith, Mrs. Smith and Ms. Jones met Dr. No in St. Louis.",
        "J. R. R. Tolkien wrote it.",
        "Frutas, p. ej. Manzanas de Asturias",
        "Cities, e.g. Berlin and the U.S. Capitol",
        "Cuesta 3.5 euros o 1.000 pesos.",
        "Vive en la pág. 7, nº 5, No. 5",
        "Pues... no sé. y ya",
        "«¿Vienes?», preguntó ella. —sí",
        "Mira www.ejemplo.com o aquí.Así",
        "1. Compra pan",
        "¡Qué!",
        "...",
        "Sin fin",
        "Hola.\n\n---",
        "Hola. ¡!",
    ],
)
def test_no_sentence_ends_within_one(text: str) -> None:
    assert sentences(text) == [text]


def test_scripts_that_set_no_space_need_none() -> None:
    assert sentences("你好。我是胡安！「好？」他说。") == ["你好。", "我是胡安！", "「好？」", "他说。"]


def test_an_empty_line_ends_whatever_stands_before_it() -> None:
    assert Prose.of("Mi familia\n\nTengo dos\nhijos. Adiós.\n") == Prose(
        ("Mi familia", "Tengo dos\nhijos.", "Adiós."), ("", "\n\n", " ", "\n")
    )


def test_numbers_of_a_list_stay_with_what_they_number() -> None:
    assert sentences("1. Compra pan. 2. Compra leche.") == ["1. Compra pan.", "2. Compra leche."]


def test_a_blank_text_has_no_sentence() -> None:
    assert (sentences(""), sentences(" \n")) == ([], [])


def test_translations_stand_where_the_sentences_stood() -> None:
    prose = Prose.of("  Hola.\n\n¿Qué tal?  Bien.\n")
    assert prose.joined(["Hello.", "How are you?", "Fine."]) == "  Hello.\n\nHow are you?  Fine.\n"


def test_where_nothing_stood_between_sentences_a_space_does_unless_the_script_has_none() -> None:
    prose = Prose.of("你好。我是胡安。")
    assert prose.joined(["Hello.", "I am Juan."]) == "Hello. I am Juan."
    assert prose.joined(["今日は。", "フアンです。"]) == "今日は。フアンです。"


@pytest.mark.timeout(60)  # seconds at most; many minutes, if the time grew with the square
@pytest.mark.parametrize(
    "unit", [".", ". ", "1. ", "a. ", ". )", "\n", " ", "。", "x\n\n", "A. ((", "a", "\n\n-"]
)
def test_no_text_takes_longer_than_its_length_says(unit: str) -> None:
    text = "A" + unit * 100_000 + " A."
    prose = Prose.of(text)
    assert prose.joined(prose.sentences) == text
