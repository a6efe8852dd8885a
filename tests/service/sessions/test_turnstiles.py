"""Turnstiles: one at a time for a session, and nothing is left of those who have gone."""

import asyncio

import pytest

from service.sessions.turnstiles import Turnstiles


async def passing(turnstiles: Turnstiles, owner: str, inside: asyncio.Event, may_go: asyncio.Event) -> None:
    async with turnstiles.through(owner, "s"):
        inside.set()
        await may_go.wait()


async def test_the_next_is_let_through_when_the_last_has_gone_even_by_an_error() -> None:
    turnstiles, order = Turnstiles(), list[str]()

    async def one(name: str) -> None:
        async with turnstiles.through("ann", "s"):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")
            raise ValueError(name)

    await asyncio.gather(one("a"), one("b"), return_exceptions=True)
    assert order == ["a in", "a out", "b in", "b out"]
    assert len(turnstiles) == 0


async def test_another_owner_waits_for_nobody() -> None:
    turnstiles, inside, may_go = Turnstiles(), asyncio.Event(), asyncio.Event()
    held = asyncio.create_task(passing(turnstiles, "ann", inside, may_go))
    await inside.wait()
    async with turnstiles.through("bob", "s"):
        assert len(turnstiles) == 2
    may_go.set()
    await held
    assert len(turnstiles) == 0


async def test_who_leaves_while_he_waits_keeps_nobody_waiting_and_opens_nothing() -> None:
    turnstiles, first, second = Turnstiles(), asyncio.Event(), asyncio.Event()
    may_go = asyncio.Event()
    held = asyncio.create_task(passing(turnstiles, "ann", first, may_go))
    await first.wait()
    waits = asyncio.create_task(passing(turnstiles, "ann", second, may_go))
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert (second.is_set(), len(turnstiles)) == (False, 1)
    may_go.set()
    await held
    async with turnstiles.through("ann", "s"):
        pass
    assert len(turnstiles) == 0
