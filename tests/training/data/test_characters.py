import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.characters import Characters
from service.bundle.tokenizer import SPECIALS, UNK
from service.bundle.tokenizers import tokenizer_from_json
from service.errors import InvalidInput
from training.config import TokenizerSection
from training.data.tokenizers import learn_tokenizer

ALPHABET = " \n\tabcé¡"
TOKENIZER = Characters(ALPHABET)
TEXTS = st.text(ALPHABET, max_size=30)


@given(TEXTS)
def test_a_known_text_comes_back_with_its_white_space(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert len(TOKENIZER.encode(text)) == len(text)


@given(st.lists(TEXTS, max_size=6))
def test_a_text_gives_the_same_tokens_however_it_is_cut(chunks: list[str]) -> None:
    feeder, fed = TOKENIZER.feeder(), []
    for chunk in chunks:
        fed += feeder.feed(chunk)
        feeder = TOKENIZER.feeder(json.loads(json.dumps(feeder.state())))
    assert [*fed, *feeder.finish()] == TOKENIZER.encode("".join(chunks))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.booleans())
def test_a_tokenizer_read_back_is_the_same(text: str, lowercase: bool) -> None:
    tokenizer = Characters(ALPHABET, lowercase)
    again = tokenizer_from_json(tokenizer.to_json())
    assert again.size == tokenizer.size == len(SPECIALS) + len(ALPHABET)
    assert again.encode(text) == tokenizer.encode(text)


def test_unknown_characters_are_one_unknown_token_each_and_write_nothing() -> None:
    assert TOKENIZER.encode("x🙂") == [UNK, UNK]
    assert TOKENIZER.decode([UNK]) == ""


def test_characters_are_learned_as_often_as_they_occur() -> None:
    section = TokenizerSection(kind="characters", vocab_size=8, min_frequency=2)
    learned = learn_tokenizer(["aaabbbccdd e", "\n\n\n"], section)
    assert [learned.piece(token) for token in range(4, learned.size)] == ["\n", "a", "b", "c"]


def test_lowercasing_does_not_depend_on_where_a_text_is_cut() -> None:
    learned = learn_tokenizer(["ΌΣΟΣ όσος σ"] * 2, TokenizerSection(kind="characters", lowercase=True))
    assert learned.encode("ΟΣ") == learned.encode("Ο") + learned.encode("Σ")
    assert learned.decode(learned.encode("ΌΣ")) == "όσ"


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "characters"}',
        '{"kind": "characters", "alphabet": 3}',
        '{"kind": "characters", "alphabet": "aa"}',
    ],
)
def test_a_damaged_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a tokenizer"):
        tokenizer_from_json(text)


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="'bytes'; there are: subwords, characters"):
        tokenizer_from_json('{"kind": "bytes"}')
