"""Ids of sessions: 144 random bits, behind the affinity key where the client gave one.

A proxy, or a client with several addresses, sends all streams with one key to the same server while it is there. As
the key stands in the id, whoever knows the session knows the key too, and a fork has its session's.
"""

import secrets

SEPARATOR = "."


def new_id(affinity: str = "") -> str:
    """An id that nobody can guess, whoever chose the affinity key."""
    secret = secrets.token_urlsafe(18)
    return f"{affinity}{SEPARATOR}{secret}" if affinity else secret


def affinity_of(session_id: str) -> str:
    """The affinity key in an id; empty where there is none."""
    key, separator, _ = session_id.rpartition(SEPARATOR)
    return key if separator else ""
