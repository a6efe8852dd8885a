import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.tokenizer import SPECIALS, UNK, TextStream
from service.bundle.tokenizers import tokenizer_from_json
from service.errors import InvalidInput
from training.config import TokenizerSection
from training.data.tokenizers import learn_tokenizer

TEXTS = [
    "¿Dónde está la biblioteca?",
    "Where is the library? I don't know!",
    "It's 12:30, isn't it? (Yes — it is.)",
    "¡Qué día más bonito! Él no sabía que ella vendría a las 7.",
    "She said: “Don't worry”, 100 % of the time; a+b = c.",
] * 2
TOKENIZER = learn_tokenizer(TEXTS, TokenizerSection(vocab_size=300))
SNIPPETS = st.sampled_from(
    [
        *"abcdéñ¿?!'’.,12<>▁",
        " ",
        "  ",
        "\n",
        "\t",
        "\u00a0",
        "\u2028",
        "\u2000",
        "e",
        "\u0301",
        "<s>",
        "語",
        "\x00",
        "Dónde",
        "n't",
    ]
)
ANY = st.lists(SNIPPETS, max_size=30).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
)


@pytest.mark.parametrize("text", TEXTS[:5])
def test_a_known_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_whitespace_is_collapsed_and_letters_are_composed() -> None:
    assert TOKENIZER.decode(TOKENIZER.encode("  esta\u0301 \t\n la\u00a0 ")) == "está la"


def test_digits_and_punctuation_stand_alone_and_apostrophes_do_not() -> None:
    pieces = [TOKENIZER.piece(token) for token in TOKENIZER.encode("12:30, isn't")]
    assert pieces[:6] == [" 1", "2", ":", "3", "0", ","]
    assert "".join(pieces[6:]) == " isn't"


def test_special_subwords_come_first_and_cannot_be_written_by_a_user() -> None:
    assert (
        json.loads(TOKENIZER.to_json())["model"]["vocab"] | dict(zip(SPECIALS, range(4), strict=True))
        == (json.loads(TOKENIZER.to_json())["model"]["vocab"])
    )
    assert all(token >= UNK for special in SPECIALS for token in TOKENIZER.encode(f"a{special} {special}b"))


def test_unknown_characters_become_unk_and_write_nothing() -> None:
    assert UNK in TOKENIZER.encode("語")
    assert TOKENIZER.decode([UNK, 0, 1, 2]) == ""


def test_nothing_is_encoded_as_nothing() -> None:
    assert TOKENIZER.encode("") == TOKENIZER.encode(" \n ") == []


def test_lowercasing_belongs_to_the_tokenizer() -> None:
    small = learn_tokenizer(TEXTS, TokenizerSection(vocab_size=200, lowercase=True))
    assert small.encode("WHERE IS") == small.encode("where is")


@given(ANY)
def test_a_tokenizer_read_back_is_the_same(text: str) -> None:
    again = tokenizer_from_json(TOKENIZER.to_json())
    assert again.size == TOKENIZER.size
    assert again.encode(text) == TOKENIZER.encode(text)


@given(st.lists(ANY, max_size=5))
def test_a_batch_is_encoded_as_each_alone(texts: list[str]) -> None:
    assert TOKENIZER.encode_batch(texts) == [TOKENIZER.encode(text) for text in texts]


@given(st.lists(ANY, max_size=8))
def test_a_text_gives_the_same_subwords_however_it_is_cut(chunks: list[str]) -> None:
    feeder = TOKENIZER.feeder()
    fed = [token for chunk in chunks for token in feeder.feed(chunk)]
    assert fed + feeder.finish() == TOKENIZER.encode("".join(chunks))
    assert feeder.finish() == []


@given(st.lists(ANY, max_size=8))
def test_a_feeder_goes_on_from_its_state(chunks: list[str]) -> None:
    feeder, fed = TOKENIZER.feeder(), []
    for chunk in chunks:
        fed += feeder.feed(chunk)
        feeder = TOKENIZER.feeder(json.loads(json.dumps(feeder.state())))
    assert fed + feeder.finish() == TOKENIZER.encode("".join(chunks))


def test_a_word_is_held_back_until_it_is_whole() -> None:
    feeder = TOKENIZER.feeder()
    assert feeder.feed("the lib") == TOKENIZER.encode("the")
    assert feeder.feed("rary") == []
    assert feeder.feed("\n") == TOKENIZER.encode("library")


@given(st.lists(st.integers(0, TOKENIZER.size - 1), max_size=30))
def test_a_stream_writes_what_decode_writes(ids: list[int]) -> None:
    stream, written = TOKENIZER.text_stream(), ""
    for count, token in enumerate(ids, 1):
        written += stream.push(token)
        stream = TextStream.from_state(TOKENIZER, json.loads(json.dumps(stream.state())))
        assert written == TOKENIZER.decode(ids[:count])


@pytest.mark.parametrize("token", [-1, TOKENIZER.size])
def test_a_subword_outside_the_vocabulary_is_refused(token: int) -> None:
    with pytest.raises(InvalidInput, match="outside the vocabulary"):
        TOKENIZER.decode([token])


def test_lone_surrogates_are_refused_and_change_nothing() -> None:
    feeder = TOKENIZER.feeder()
    feeder.feed("whe")
    with pytest.raises(InvalidInput, match="lone surrogate at character 1"):
        TOKENIZER.encode("a\ud800")
    with pytest.raises(InvalidInput, match="lone surrogate at character 0"):
        feeder.feed("\udc00 ")
    assert feeder.finish() == TOKENIZER.encode("whe")


@pytest.mark.parametrize("text", ["", "{}", '{"model": 1}'])
def test_a_file_that_is_no_tokenizer_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a tokenizer"):
        tokenizer_from_json(text)


def test_a_tokenizer_with_other_special_subwords_is_refused() -> None:
    other = TOKENIZER.to_json().replace('"<pad>"', '"[PAD]"')
    with pytest.raises(InvalidInput, match="first subwords must be"):
        tokenizer_from_json(other)
