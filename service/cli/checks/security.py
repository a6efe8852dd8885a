"""Whether the settings open more than they say, and whether certificates can be used. No secret is shown."""

import time
from collections.abc import Iterator

from service.api.door import Door
from service.api.exposure import authenticates, complaints
from service.api.tls import certificates
from service.cli.checks.finding import Finding, problem, refused, warning
from service.config import Settings
from service.errors import ConfigRefused
from service.metrics import Metrics

SOON_S = 14 * 86_400.0
RENEW = "put a new certificate in the file's place; a server that runs takes it up"


def security(settings: Settings) -> Iterator[Finding]:
    yield from _exposure(settings)
    yield _tls(settings)
    yield _callers(settings)


def _exposure(settings: Settings) -> Iterator[Finding]:
    found = list(complaints(settings))
    for complaint in found:
        text, _, advice = complaint.partition(": ")
        yield problem("exposure", text, advice)
    if not found:
        yield Finding("exposure", f"{settings.server.host} shows no more than the settings mean")


def _callers(settings: Settings) -> Finding:
    try:
        Door(settings, Metrics())
    except ConfigRefused as error:
        return refused("callers", error, "correct the auth.… settings")
    told = "have to show who they are" if authenticates(settings) else "need no credentials"
    return Finding("callers", told, facts={"authenticated": authenticates(settings)})


def _tls(settings: Settings) -> Finding:
    try:
        found = certificates(settings.tls)
    except ConfigRefused as error:
        return refused("tls", error, "correct the tls.… settings")
    if found is None:
        return Finding("tls", "off", facts={"tls": False})
    days = (found.expires_at - time.time()) / 86_400
    text = f"on; the certificate is good for {days:.0f} days"
    if found.expires_at - time.time() < SOON_S:
        return warning("tls", text, RENEW, tls=True, days=round(days, 1))
    return Finding("tls", text, facts={"tls": True, "days": round(days, 1)})
