from hypothesis import given
from hypothesis import strategies as st

from service.client.batches import Batches


def test_the_first_item_goes_at_once_and_the_next_ones_gather() -> None:
    batches: Batches[int] = Batches(max_items=3, max_under_way=2)
    batches.add(1)
    assert batches.take() == [1]
    batches.add(2)
    assert batches.take() == []
    batches.add(3)
    batches.add(4)
    assert batches.full
    assert batches.take() == [2, 3, 4]


def test_the_end_sends_what_has_gathered() -> None:
    batches: Batches[int] = Batches(max_items=3, max_under_way=2)
    batches.add(1)
    batches.take()
    batches.add(2)
    batches.ended = True
    assert batches.take() == [2]
    assert not batches.done


@given(st.lists(st.sampled_from(["add", "land"]), max_size=60), st.integers(1, 4), st.integers(1, 3))
def test_whatever_happens_everything_is_sent_once_in_order_and_within_bounds(
    events: list[str], max_items: int, max_under_way: int
) -> None:
    batches: Batches[int] = Batches(max_items, max_under_way)
    sent: list[int] = []
    added = 0

    def send() -> None:
        while batch := batches.take():
            assert len(batch) <= max_items
            sent.extend(batch)
        assert batches.under_way <= max_under_way

    for event in events:
        if event == "add" and not batches.full:
            batches.add(added)
            added += 1
        elif event == "land" and batches.under_way:
            batches.landed()
        send()
    batches.ended = True
    while not batches.done:
        send()
        batches.landed()
    assert sent == list(range(added))
