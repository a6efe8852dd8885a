"""Who makes a call, and what he may do."""

import math
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum

from service.errors import Unauthenticated

MAX_OWNER_CHARS = 128


class Role(Enum):
    """What a method takes. Whoever has ADMIN has USE."""

    NONE = "none"
    """Nothing: strangers, too, may call it."""
    USE = "use"
    ADMIN = "admin"


USER = frozenset({Role.NONE, Role.USE})
ADMIN = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Caller:
    """An owner, with roles, for as long as what proves it is good."""

    owner: str
    """Empty: nobody in particular."""
    roles: frozenset[Role] = USER
    good_until: float = field(default=math.inf)
    """Wall clock."""


ANYBODY = Caller("")

THIS_CALL: ContextVar[Caller] = ContextVar("THIS_CALL", default=ANYBODY)
"""Who makes the call that the current task answers."""


def roles_of(names: Iterable[object]) -> frozenset[Role]:
    """Roles by their names; names that mean nothing here give nothing."""
    return ADMIN if Role.ADMIN.value in names else USER


def owner_named(name: object, where: str) -> str:
    """The name where it can be an owner's; Unauthenticated says what is wrong with it."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_OWNER_CHARS or not name.isprintable():
        raise Unauthenticated(
            f"{where} has to name an owner in 1 to {MAX_OWNER_CHARS} printable characters", why="owner"
        )
    return name
