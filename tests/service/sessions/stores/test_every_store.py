"""What every store promises; each test runs over all of them."""

import asyncio

import pytest

from service.errors import Fenced, InvalidInput, Overloaded, SessionNotFound
from tests.service.sessions.stores.conftest import Case


async def test_what_was_saved_last_is_claimed(case: Case) -> None:
    assert await case.store.create("s", "ann", 60) == 1
    assert await case.store.save("s", "ann", 1, 1, b"one", 60) == 1
    assert await case.store.save("s", "ann", 1, 2, b"t\0w\xffo", 60, summary="é {}") == 2
    claimed = await case.other.claim("s", "ann")
    assert (claimed.epoch, claimed.revision, claimed.data) == (2, 2, b"t\0w\xffo")


async def test_a_session_without_a_snapshot_is_claimed_without_one(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    claimed = await case.store.claim("s", "ann")
    assert (claimed.epoch, claimed.revision, claimed.data) == (2, 0, None)


async def test_an_empty_snapshot_is_not_the_same_as_none(case: Case) -> None:
    await case.store.create("s", "ann", 60, data=b"")
    assert (await case.store.claim("s", "ann")).data == b""


async def test_create_can_bring_epoch_revision_and_snapshot(case: Case) -> None:
    assert await case.store.create("s", "ann", 60, epoch=8, revision=5, data=b"x", summary="y") == 8
    stored = await case.other.describe("s", "ann")
    assert (stored.epoch, stored.revision, stored.size_bytes, stored.summary) == (8, 5, 1, "y")
    assert (await case.other.claim("s", "ann")).epoch == 9


async def test_of_two_creates_one_is_fenced(case: Case) -> None:
    outcomes = await asyncio.gather(
        case.store.create("s", "ann", 60, data=b"a"),
        case.other.create("s", "ann", 60, data=b"b"),
        return_exceptions=True,
    )
    assert sorted(map(str, map(type, outcomes))) == sorted(map(str, [int, Fenced]))


async def test_claims_at_once_get_different_epochs_and_only_the_last_writes(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    claims = await asyncio.gather(*(store.claim("s", "ann") for store in [case.store, case.other] * 10))
    epochs = sorted(claimed.epoch for claimed in claims)
    assert epochs == list(range(2, 22))
    for epoch in epochs[:-1]:
        with pytest.raises(Fenced):
            await case.store.save("s", "ann", epoch, 99, b"old", 60)
        with pytest.raises(Fenced):
            await case.store.touch("s", "ann", epoch, 60)
    await case.store.save("s", "ann", 21, 1, b"new", 60)
    assert (await case.other.claim("s", "ann")).data == b"new"


async def test_a_claim_that_is_made_again_under_its_id_is_the_same_claim(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    assert (await case.store.describe("s", "ann")).claim_id == ""
    assert [(await case.store.claim("s", "ann", "one")).epoch for _ in range(3)] == [2, 2, 2]
    await case.store.save("s", "ann", 2, 1, b"x", 60)
    assert (await case.store.claim("s", "ann", "one")).data == b"x"
    stored = await case.other.describe("s", "ann")
    assert (stored.epoch, stored.claim_id) == (2, "one")


@pytest.mark.parametrize("between", ["two", ""])
async def test_a_claim_that_is_made_again_after_another_one_is_a_new_one(case: Case, between: str) -> None:
    await case.store.create("s", "ann", 60)
    claims = [("one", case.store), (between, case.other), ("one", case.store)]
    assert [(await store.claim("s", "ann", claim_id)).epoch for claim_id, store in claims] == [2, 3, 4]
    assert (await case.other.describe("s", "ann")).claim_id == "one"
    with pytest.raises(Fenced):
        await case.other.save("s", "ann", 3, 1, b"x", 60)


async def test_claims_without_ids_are_never_the_same(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    assert [(await case.store.claim("s", "ann")).epoch for _ in range(3)] == [2, 3, 4]


async def test_an_epoch_that_was_never_given_is_fenced(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    for epoch in (0, 2, 1000):
        with pytest.raises(Fenced):
            await case.store.save("s", "ann", epoch, 1, b"x", 60)


async def test_exactly_one_history_survives_when_saves_and_claims_race(case: Case) -> None:
    """Two replicas write as fast as they can, and take the session from each other again and again."""
    await case.store.create("s", "ann", 60)
    written: dict[int, list[int]] = {}

    async def replica(store_name: str) -> None:
        store = getattr(case, store_name)
        for _ in range(6):
            claimed = await store.claim("s", "ann")
            mine = written.setdefault(claimed.epoch, [])
            revision = claimed.revision
            try:
                for _ in range(5):
                    revision += 1
                    await store.save("s", "ann", claimed.epoch, revision, b"%d" % claimed.epoch, 60)
                    mine.append(revision)
                    await asyncio.sleep(0)
            except Fenced:
                continue

    await asyncio.gather(replica("store"), replica("other"))
    history = [revision for _, mine in sorted(written.items()) for revision in mine]
    assert history == list(range(1, len(history) + 1))
    assert (await case.store.describe("s", "ann")).revision == len(history)


async def test_a_save_that_was_overtaken_changes_nothing_and_says_what_is_stored(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    await case.store.save("s", "ann", 1, 7, b"seven", 60)
    assert await case.store.save("s", "ann", 1, 6, b"six", 60) == 7
    assert (await case.store.claim("s", "ann")).data == b"seven"


async def test_revisions_are_compared_as_numbers(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    for revision in (9, 10, 1_000_000_000_000_000):
        assert await case.store.save("s", "ann", 1, revision, b"%d" % revision, 60) == revision
    claimed = await case.store.claim("s", "ann")
    assert (claimed.revision, claimed.data) == (1_000_000_000_000_000, b"1000000000000000")


async def test_a_save_that_is_sent_again_is_done_once(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    for _ in range(2):
        assert await case.store.save("s", "ann", 1, 3, b"x", 60) == 3


async def test_nothing_brings_a_deleted_session_back(case: Case) -> None:
    await case.store.create("s", "ann", 60, data=b"x")
    await case.other.delete("s", "ann")
    for attempt in (
        case.store.save("s", "ann", 1, 9, b"y", 60),
        case.store.touch("s", "ann", 1, 60),
        case.store.claim("s", "ann"),
        case.store.create("s", "ann", 60, epoch=2),
        case.store.describe("s", "ann"),
        case.store.delete("s", "ann"),
    ):
        with pytest.raises(SessionNotFound):
            await attempt
    assert (await case.store.list("ann", 10)).sessions == ()


async def test_a_deleted_session_is_remembered_for_as_long_as_was_asked(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    await case.store.delete("s", "ann", remember_s=0.2)
    await case.wait(0.25)
    assert await case.store.create("s", "ann", 60, epoch=4) == 4


async def test_a_session_expires(case: Case) -> None:
    await case.store.create("s", "ann", 0.2, data=b"x")
    await case.wait(0.25)
    for attempt in (
        case.store.claim("s", "ann"),
        case.store.save("s", "ann", 1, 1, b"y", 60),
        case.store.describe("s", "ann"),
    ):
        with pytest.raises(SessionNotFound):
            await attempt
    assert (await case.store.list("ann", 10)).sessions == ()
    assert await case.store.sweep() in {0, 1}
    assert await case.store.sweep() == 0
    assert await case.store.create("s", "ann", 60) == 1


async def test_save_touch_and_claim_restart_the_time_to_live(case: Case) -> None:
    await case.store.create("s", "ann", 2.0)
    for again in (
        lambda: case.store.save("s", "ann", 1, 1, b"x", 2.0),
        lambda: case.store.touch("s", "ann", 1, 2.0),
        lambda: case.store.claim("s", "ann"),
        lambda: case.store.describe("s", "ann"),
    ):
        await case.wait(1.1)
        await again()
    await case.wait(1.1)
    with pytest.raises(SessionNotFound):
        await case.store.describe("s", "ann")


async def test_another_owner_finds_nothing_and_changes_nothing(case: Case) -> None:
    await case.store.create("s", "ann", 60, data=b"x")
    with pytest.raises(SessionNotFound) as of_ann:
        await case.other.claim("s", "bob")
    with pytest.raises(SessionNotFound) as of_nobody:
        await case.other.claim("t", "bob")
    assert str(of_ann.value) == str(of_nobody.value)
    for attempt in (
        case.other.save("s", "bob", 1, 9, b"bob", 60),
        case.other.touch("s", "bob", 1, 1),
        case.other.describe("s", "bob"),
        case.other.delete("s", "bob"),
        case.other.create("s", "bob", 60),
    ):
        with pytest.raises(SessionNotFound):
            await attempt
    assert (await case.other.list("bob", 10)).sessions == ()
    await case.store.save("s", "ann", 1, 1, b"ann", 60)
    assert (await case.store.claim("s", "ann")).data == b"ann"


async def test_describe_says_what_is_stored_without_claiming(case: Case) -> None:
    await case.store.create("s", "ann", 60)
    await case.store.save("s", "ann", 1, 4, b"12345", 60, summary="hello")
    stored = await case.store.describe("s", "ann")
    assert (stored.session_id, stored.epoch, stored.revision) == ("s", 1, 4)
    assert (stored.size_bytes, stored.summary) == (5, "hello")
    assert 50 < stored.expires_at - stored.created_at <= 61
    await case.store.save("s", "ann", 1, 5, b"", 60)


async def test_a_listing_goes_page_by_page_newest_first(case: Case) -> None:
    ids = [f"s{n}" for n in range(7)]
    for session_id in ids:
        await case.store.create(session_id, "ann", 60)
        await case.wait(0.002)
    await case.store.create("other", "bob", 60)
    seen, after = [], ""
    for size in (3, 3, 1):
        page = await case.other.list("ann", 3, after)
        assert len(page.sessions) == size
        seen += [stored.session_id for stored in page.sessions]
        after = page.after
    assert seen == ids[::-1]
    assert not after


async def test_a_page_ends_where_the_sessions_end(case: Case) -> None:
    for session_id in "ab":
        await case.store.create(session_id, "ann", 60)
    assert not (await case.store.list("ann", 2)).after
    assert (await case.store.list("ann", 1)).after


async def test_deleting_while_a_listing_is_read_neither_skips_nor_doubles(case: Case) -> None:
    for n in range(6):
        await case.store.create(f"s{n}", "ann", 60)
        await case.wait(0.002)
    first = await case.store.list("ann", 2)
    await case.store.delete("s5", "ann")
    await case.store.delete("s3", "ann")
    rest = await case.store.list("ann", 10, first.after)
    assert [stored.session_id for stored in rest.sessions] == ["s2", "s1", "s0"]


async def test_a_page_token_that_is_none_is_refused(case: Case) -> None:
    for token in ("x", "12:a", "-00000000000001:a", "²" * 15 + ":a"):
        with pytest.raises(InvalidInput):
            await case.store.list("ann", 10, token)


async def test_many_tasks_with_sessions_of_their_own_do_not_meet(case: Case) -> None:
    async def one(n: int) -> None:
        store, session_id = (case.store, case.other)[n % 2], f"s{n}"
        await store.create(session_id, "ann", 60)
        for revision in range(1, 6):
            await store.save(session_id, "ann", 1, revision, b"%d/%d" % (n, revision), 60)
        assert (await store.claim(session_id, "ann")).data == b"%d/5" % n

    await asyncio.gather(*(one(n) for n in range(40)))
    assert len((await case.store.list("ann", 100)).sessions) == 40


async def test_callers_who_leave_do_not_hurt_the_others(case: Case) -> None:
    """Cancelled at every stage of their operation, while others go on over the same connections."""
    for n in range(30):
        await case.store.create(f"s{n}", "ann", 60, data=b"%d" % n)

    async def leaver(n: int) -> None:
        task = asyncio.create_task(case.store.claim(f"s{n}", "ann"))
        for _ in range(n % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def stayer(n: int) -> None:
        for _ in range(5):
            assert (await case.store.claim(f"s{n}", "ann")).data == b"%d" % n

    await asyncio.gather(*(leaver(n) for n in range(30)), *(stayer(n) for n in range(30)))


async def test_a_large_snapshot_comes_back_whole(case: Case) -> None:
    data = bytes(range(256)) * 8192
    await case.store.create("s", "ann", 60)
    await case.store.save("s", "ann", 1, 1, data, 60)
    assert (await case.store.claim("s", "ann")).data == data


async def test_a_store_that_works_says_so(case: Case) -> None:
    assert (await case.store.health()).serving


async def test_an_owner_gets_no_more_sessions_than_he_may_have(case: Case) -> None:
    for number in range(3):
        await case.store.create(f"s{number}", "ann", 60, max_of_owner=3)
    await case.store.create("other", "bob", 60, max_of_owner=1)
    with pytest.raises(Overloaded, match="you have 3 sessions") as refused:
        await case.other.create("s3", "ann", 60, max_of_owner=3)
    assert refused.value.retry_after_s > 0
    await case.store.create("s4", "ann", 60)  # nobody asked how many there are
    for number in range(2):
        await case.store.delete(f"s{number}", "ann")
    await case.store.create("s5", "ann", 60, max_of_owner=3)
    with pytest.raises(Overloaded):
        await case.store.create("s6", "ann", 60, max_of_owner=3)


async def test_sessions_that_have_expired_make_room_for_their_owner(case: Case) -> None:
    for number in range(3):
        await case.store.create(f"s{number}", "ann", 0.2, max_of_owner=3)
    await case.wait(0.5)  # redis counts them for up to twice their time
    for number in range(3):
        await case.store.create(f"t{number}", "ann", 60, max_of_owner=3)
    with pytest.raises(Overloaded):
        await case.store.create("t3", "ann", 60, max_of_owner=3)


async def test_sessions_are_counted_where_the_store_can(case: Case) -> None:
    for number in range(3):
        await case.store.create(f"s{number}", f"owner {number % 2}", 60 if number else 0.2)
    await case.store.create("closed", "ann", 60)
    await case.store.delete("closed", "ann")
    expected = None if case.kind.startswith("redis") else 3
    assert await case.store.count() == expected
    await case.wait(0.25)
    await case.store.sweep()
    assert await case.store.count() == (None if expected is None else 2)
    await case.store.create("s0", "ann", 60)
    assert await case.store.count() == expected
