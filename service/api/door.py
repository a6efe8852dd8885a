"""The door: who a caller is, and whether he may make this call."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import grpc

from service.api.access import needed
from service.api.access_keys import AccessKeys, is_access_key, read_keys
from service.api.callers import ADMIN, ANYBODY, Caller, Role
from service.api.certificate_owners import CertificateOwners
from service.api.exposure import authenticates
from service.api.owners import owner_in_header
from service.api.watched import Pace, Watched
from service.api.web_tokens import WebTokens, read_jwks
from service.config import AuthSettings, Settings
from service.errors import ConfigRefused, NotAllowed, Unauthenticated
from service.metrics import Metrics

HEADER = "authorization"
SCHEME = "bearer "

Context = grpc.aio.ServicerContext[Any, Any]


class Door:
    """Lets callers in, and looks again at those inside when their time is over or the files have changed."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        """ConfigRefused where a file of the settings cannot be used."""
        auth = settings.auth
        self._clock = clock
        self._metrics = metrics
        self.asks = authenticates(settings)
        """Whether callers have to show who they are."""
        self._lets_strangers_in = settings.server.allow_anonymous or not self.asks
        self._everybody_is_admin = not self.asks and not auth.admins
        self._admins = frozenset(auth.admins)
        self._trusts_header = settings.server.trust_owner_header
        self._certificates = CertificateOwners() if settings.tls.client_ca_file else None
        self._keys = _watched_keys(auth)
        self._tokens = _watched_tokens(auth, clock)
        self._pace = Pace(auth.reload_s)

    def admit(self, method: str, context: Context) -> Caller:
        """Who calls; Unauthenticated or NotAllowed where he may not."""
        self.look()
        need = needed(method)
        try:
            caller = self._caller(context, need)
            if need not in caller.roles:
                raise NotAllowed(f"{method.rpartition('/')[2]} takes the role {need.value}")
        except Unauthenticated as error:
            self._metrics.auth_refused.labels(error.metadata["why"]).inc()
            raise
        except NotAllowed:
            self._metrics.auth_refused.labels("role").inc()
            raise
        return caller

    def shows_metrics(self, shown: str | None) -> bool:
        """Whether whoever shows this header may see the metrics; TLS has seen to his certificate, where one is due."""
        self.look()
        if self._lets_strangers_in or (shown is None and self._certificates is not None):
            return True
        try:
            if shown is None:
                raise Unauthenticated("this page wants credentials", why="missing")
            self._by_header([shown])
        except Unauthenticated as error:
            self._metrics.auth_refused.labels(error.metadata["why"]).inc()
            return False
        return True

    def is_past(self, caller: Caller, generation: int) -> bool:
        """Whether somebody inside has to show his credentials again."""
        self.look()
        return generation != self.generation or caller.good_until <= self._clock()

    def look(self, *, at_once: bool = False) -> None:
        """Take up what has changed in the files, if it is time to look."""
        if at_once or self._pace.is_due():
            for watched in (self._keys, self._tokens):
                if watched is not None:
                    watched.look()

    def parts(self) -> dict[str, Callable[[], str]]:
        """What of it can fail: part → what says why its file, as it is now, was left alone."""
        watched = {"access_keys": self._keys, "issuer_keys": self._tokens}
        return {name: partial(self._trouble, one) for name, one in watched.items() if one is not None}

    def _trouble(self, watched: Watched[Any]) -> str:
        self.look()
        return watched.trouble

    @property
    def generation(self) -> int:
        """Grows with each change of the files."""
        return sum(watched.generation for watched in (self._keys, self._tokens) if watched is not None)

    def _caller(self, context: Context, need: Role) -> Caller:
        metadata = context.invocation_metadata() or ()
        proven = self._proven(metadata, context)
        if proven is None:
            if not self._lets_strangers_in and need is not Role.NONE:
                raise Unauthenticated(
                    "this server wants credentials: the header `authorization: Bearer …`", why="missing"
                )
            proven = ANYBODY
        owner = owner_in_header(metadata) if self._trusts_header else None
        return self._with_roles(proven if owner is None else Caller(owner, good_until=proven.good_until))

    def _with_roles(self, caller: Caller) -> Caller:
        if self._everybody_is_admin or (caller.owner and caller.owner in self._admins):
            return Caller(caller.owner, ADMIN, caller.good_until)
        return caller

    def _proven(self, metadata: Iterable[tuple[str, str | bytes]], context: Context) -> Caller | None:
        """Who the caller has proven to be; None where he shows nothing."""
        if not self.asks:
            return None
        shown = [value for key, value in metadata if key == HEADER]
        if shown:
            return self._by_header(shown)
        if self._certificates is None:
            return None
        return self._certificates.caller(
            {name: list(values) for name, values in context.auth_context().items()}
        )

    def _by_header(self, shown: Sequence[str | bytes]) -> Caller:
        [first, *more] = shown
        if more or not isinstance(first, str) or not first.lower().startswith(SCHEME):
            raise Unauthenticated("one header `authorization: Bearer …` is expected", why="malformed")
        credentials = first[len(SCHEME) :].strip()
        if is_access_key(credentials) and self._keys is not None:
            return self._keys.value.caller(credentials, datetime.fromtimestamp(self._clock(), UTC))
        if self._tokens is not None:
            return self._tokens.value.caller(credentials)
        raise Unauthenticated("this server takes no credentials of that kind", why="malformed")


def _watched_keys(auth: AuthSettings) -> Watched[AccessKeys] | None:
    file = auth.access_keys_file
    return Watched("access keys", [file], lambda: AccessKeys(read_keys(file))) if file else None


def _watched_tokens(auth: AuthSettings, clock: Callable[[], float]) -> Watched[WebTokens] | None:
    file = auth.jwks_file
    if file is None:
        return None
    if not auth.jwt_issuer or not auth.jwt_audience:
        raise ConfigRefused("auth.jwks_file needs auth.jwt_issuer and auth.jwt_audience")
    return Watched("keys of tokens", [file], lambda: WebTokens(read_jwks(file), auth, clock))
