from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from service.bundle.tokenizer import Tokenizer
from tests.bundles import SENTENCES
from training.config import TokenizerSection
from training.data.subword_dropout import SubwordDropout
from training.data.tokenizers import learn_tokenizer

texts = st.lists(st.sampled_from(" ".join(SENTENCES).split()), max_size=8).map(" ".join)


@cache
def tokenizer() -> Tokenizer:
    return learn_tokenizer(SENTENCES * 3, TokenizerSection())


@given(texts | st.text(max_size=20))
def test_without_dropout_texts_are_cut_as_the_tokenizer_cuts_them(text: str) -> None:
    assert SubwordDropout(tokenizer(), 0.0, seed=1).encode(text, 1, 2) == tokenizer().encode(text)


@given(texts, st.integers(0, 9))
def test_however_a_text_is_cut_it_is_the_same_text_and_again_the_same_cut(text: str, epoch: int) -> None:
    cut = SubwordDropout(tokenizer(), 0.5, seed=1).encode(text, epoch, 3)
    assert tokenizer().decode(cut) == tokenizer().decode(tokenizer().encode(text))
    assert SubwordDropout(tokenizer(), 0.5, seed=1).encode(text, epoch, 3) == cut


def test_epochs_texts_and_seeds_are_cut_in_ways_of_their_own() -> None:
    text = SENTENCES[0]
    cuts = {
        tuple(SubwordDropout(tokenizer(), 0.3, seed).encode(text, epoch, index))
        for seed, epoch, index in ((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2))
    }
    assert len(cuts) == 4
    assert all(len(cut) > len(tokenizer().encode(text)) for cut in cuts)


def test_with_all_merges_left_out_a_text_is_its_letters() -> None:
    nearly = SubwordDropout(tokenizer(), 1.0, seed=1).encode("the cat", 0, 0)
    assert [tokenizer().piece(token) for token in nearly] == [" ", "t", "h", "e", " ", "c", "a", "t"]
