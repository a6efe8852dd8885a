"""What each owner may use, and what he has used.

Both rates are buckets that fill while they are not used. A request is paid for before it is begun. Tokens are paid for
when they are known, also into debt; whoever is in debt waits with the next request until it is paid.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.api.callers import USER, Role
from service.config import QuotaLimits, QuotaSettings
from service.errors import QuotaExceeded
from service.metrics import Metrics

MIN_RETRY_S = 0.001


class Bucket:
    """So much a second, and so much at once after a pause."""

    __slots__ = ("_at", "_clock", "_left", "_most", "_rate")

    def __init__(self, rate: float, burst_s: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._most = max(1.0, rate * burst_s)
        self._left = self._most
        self._clock = clock
        self._at = clock()

    def wait_s(self, wanted: float) -> float:
        """How long until so much is in it; 0 when it is now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, wanted - self._left) / self._rate

    def take(self, amount: float) -> None:
        """Take so much, also more than is in it."""
        self._left -= amount


class Account:
    """What one owner has used of what he may use."""

    __slots__ = ("_max_calls", "_on_refused", "_requests", "_tokens", "limits", "num_calls")

    def __init__(
        self, settings: QuotaSettings, on_refused: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        def bucket(rate: float) -> Bucket | None:
            return Bucket(rate, settings.burst_s, clock) if rate else None

        self.limits = settings
        self._requests = bucket(settings.requests_per_s)
        self._tokens = bucket(settings.tokens_per_s)
        self._max_calls = settings.max_calls
        self._on_refused = on_refused
        self.num_calls = 0

    @property
    def counts_tokens(self) -> bool:
        return self._tokens is not None

    @contextmanager
    def call(self) -> Iterator[None]:
        """One more call is under way while inside; QuotaExceeded where there are too many already."""
        if self._max_calls and self.num_calls >= self._max_calls:
            words = f"you have {self.num_calls} calls under way, which is the limit; end one first"
            raise self._refusal("calls", words, 1.0)
        self.num_calls += 1
        try:
            yield
        finally:
            self.num_calls -= 1

    def take_request(self) -> None:
        """Pay for a request; QuotaExceeded where it, or the tokens of earlier ones, cannot be paid for now."""
        if self._requests and (wait_s := self._requests.wait_s(1.0)):
            raise self._refusal("requests", "you have sent too many requests for now", wait_s)
        if self._tokens and (wait_s := self._tokens.wait_s(0.0)):
            raise self._refusal("tokens", "you have used too many tokens for now", wait_s)
        if self._requests:
            self._requests.take(1.0)

    def spend_tokens(self, count: int) -> None:
        """Pay for tokens read or written."""
        if self._tokens and count:
            self._tokens.take(count)

    def _refusal(self, quota: str, words: str, wait_s: float) -> QuotaExceeded:
        self._on_refused(quota)
        retry_after_s = max(MIN_RETRY_S, wait_s)
        return QuotaExceeded(
            f"{words}; try again in {retry_after_s:.3g} s", quota=quota, retry_after_s=retry_after_s
        )


class Quotas:
    """The accounts of owners, those used last at the end."""

    def __init__(
        self, settings: QuotaSettings, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._on_refused = lambda quota: metrics.quota_refused.labels(quota).inc()
        self._of_owner = {owner: _merged(settings, limits) for owner, limits in settings.owners.items()}
        self._of_role = {
            role: _merged(settings, settings.roles.get(role.value, QuotaLimits()))
            for role in (Role.USE, Role.ADMIN)
        }

    def __len__(self) -> int:
        return len(self._accounts)

    def account(self, owner: str, roles: frozenset[Role] = USER) -> Account | None:
        """The owner's account; None where nothing is limited for him. One whose limits are others now begins anew."""
        limits = self._of_owner.get(owner) or self._of_role[Role.ADMIN if Role.ADMIN in roles else Role.USE]
        if not (limits.requests_per_s or limits.tokens_per_s or limits.max_calls):
            return None
        account = self._accounts.get(owner)
        if account is None or account.limits is not limits:
            self._make_room()
            account = self._accounts[owner] = Account(limits, self._on_refused, self._clock)
        self._accounts.move_to_end(owner)
        return account

    def _make_room(self) -> None:
        """Forget who was away for longest and has no call under way."""
        while len(self._accounts) >= self._settings.max_owners:
            idle = next((owner for owner, one in self._accounts.items() if not one.num_calls), None)
            if idle is None:
                return  # all are here: their number is bounded by that of the calls
            del self._accounts[idle]


def _merged(settings: QuotaSettings, limits: QuotaLimits) -> QuotaSettings:
    """What everybody may, but for what differs."""
    return settings.model_copy(update=limits.model_dump(exclude_none=True))
