"""The gate to one server: each call goes through it, or is held back; what the server refuses is remembered there."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from service.client.errors import (
    HELD_BACK,
    ClientError,
    Details,
    Overloaded,
    as_client_errors,
    is_from_core,
    is_held_back,
)
from service.client.throttle import HoldingBack, Slot, Throttle

FIRST_WAIT_S, GROWTH, MAX_WAIT_S = 0.2, 2.5, 5.0
"""Before a call is made again: as `service.client.channel` has gRPC wait where a connection breaks."""
JITTER = 0.25
"""Waits are longer or shorter by up to this share, so that those who were refused together do not come together."""

LOAD = "OVERLOADED"


class Gate:
    """What one client asks of one server. May be used on any thread."""

    def __init__(self, address: str, settings: HoldingBack | None, max_attempts: int) -> None:
        """Without settings nothing is held back."""
        self.address = address
        self.max_attempts = max_attempts
        self._settings = settings
        self._throttle = Throttle(settings) if settings else None

    def slot(self) -> Slot | None:
        """Let a call through; Overloaded where it is held back."""
        if self._throttle is None:
            return None
        slot = self._throttle.ask()
        if slot is None:
            raise self._held_back()
        return slot

    @contextmanager
    def call(self, slot: Slot | None) -> Iterator[None]:
        """Inside, what became of a call is heard, as the client's own errors.

        Refusals for too much load are remembered, and none that are about the caller.
        """
        try:
            with as_client_errors(self.address):
                yield
        except Overloaded as error:
            if is_from_core(error) or error.reason == LOAD:
                self._refused(slot)
            raise

    @contextmanager
    def opening(self, *, is_new: bool) -> Iterator[None]:
        """Inside, a session's stream is begun. One that goes on with a session is never held back.

        An opening computes nothing: where the server looks at it and refuses, it has no place for sessions, which says
        nothing of calls.
        """
        slot = self.slot() if is_new else self._through()
        try:
            yield
        except Overloaded as error:
            if is_from_core(error):
                self._refused(slot)
            raise

    def _through(self) -> Slot | None:
        return self._throttle.send() if self._throttle else None

    def _refused(self, slot: Slot | None) -> None:
        if self._throttle is not None and slot is not None:
            self._throttle.refused(slot)

    def _held_back(self) -> Overloaded:
        assert self._settings
        words = f"{self.address} has refused much of late, as it has too much to do; this call was not sent"
        return Overloaded(words, Details(reason=HELD_BACK, retry_after_s=self._settings.window_s))


@dataclass
class Attempts:
    """How often, and how much later, a call is made that was turned away or held back."""

    max_attempts: int
    timeout: float | None
    clock: Callable[[], float]
    made: int = 0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def left_s(self) -> float | None:
        """Of the time that all attempts have together."""
        return None if self.timeout is None else self.timeout - (self.clock() - self.began)

    def wait_s(self, error: ClientError) -> float:
        """How long to wait before the next; the error itself where there is none, or no time for it."""
        self.made += 1
        wait_s = min(FIRST_WAIT_S * GROWTH ** (self.made - 1), MAX_WAIT_S)
        wait_s *= random.uniform(1 - JITTER, 1 + JITTER)
        is_late = self.left_s is not None and wait_s >= self.left_s
        was_begun = not (is_held_back(error) or is_from_core(error))
        if was_begun or is_late or self.made >= self.max_attempts:
            raise error
        return wait_s
