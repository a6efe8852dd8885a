import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from service.bundle.tokenizer import BOS
from training.data.batches import Example
from training.data.streams import NOTHING, lay

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def documents(lengths: list[int]) -> list[Example]:
    """Every token of every document is another number."""
    ids = [[BOS, *range(100 * number + 10, 100 * number + 10 + size)] for number, size in enumerate(lengths)]
    return [Example(each[:-1], each[1:]) for each in ids]


@given(LENGTHS, st.integers(1, 5), st.integers(1, 9), st.integers(0, 3))
def test_every_token_is_a_target_once_and_is_read_before_what_follows(
    lengths: list[int], num_streams: int, chunk: int, seed: int
) -> None:
    given_documents = documents(lengths)
    pieces, plan = lay(given_documents, num_streams, chunk, random.Random(seed))
    assert len({len(row) for row in plan}) == 1
    assert len(plan[0]) <= num_streams
    targets: Counter[int] = Counter()
    for stream in zip(*plan, strict=True):
        before = None
        for number in stream:
            if number == NOTHING:
                continue
            example = pieces[number].of(given_documents)
            assert len(example.source) == len(example.target) <= chunk
            assert list(example.source[1:]) == list(example.target[:-1])
            assert example.source[0] == (BOS if pieces[number].fresh else before)
            before = example.target[-1]
            targets.update(example.target)
    assert targets == Counter(token for document in given_documents for token in document.target)


def test_a_long_document_is_cut_where_the_dice_say_and_fills_all_streams() -> None:
    given_documents = documents([400])
    first, second = (lay(given_documents, 4, 10, random.Random(seed)) for seed in (1, 2))
    assert first.pieces != second.pieces
    assert [len(row) for row in first.plan] == [4] * len(first.plan)
    assert len(first.plan) <= 12


def test_short_documents_begin_where_they_begin() -> None:
    pieces, _ = lay(documents([3, 12, 15]), 2, 10, random.Random(0))
    assert sorted(piece.start for piece in pieces if piece.fresh) == [0, 0, 0]
