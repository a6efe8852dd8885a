"""How a listing goes on: the cursor of a session, by which listings are sorted."""

from service.errors import InvalidInput, SessionNotFound


def to_cursor(created_ms: int, session_id: str) -> str:
    """A text that sorts as (created_ms, session_id) does."""
    return f"{created_ms:015d}:{session_id}"


def from_cursor(cursor: str) -> tuple[int, str]:
    """The cursor's parts; InvalidInput when it is none."""
    created_ms, colon, session_id = cursor.partition(":")
    if not (colon and len(created_ms) == 15 and created_ms.isascii() and created_ms.isdigit()):
        raise InvalidInput("this page_token comes from no listing", field="page_token")
    return int(created_ms), session_id


def not_found(session_id: str) -> SessionNotFound:
    """The same words for unknown, expired, deleted and other owners' sessions."""
    return SessionNotFound("no such session in the store: it was closed, or has expired", name=session_id)
