"""`seqserve sessions`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import output
from service.cli.options import DEFAULT_ADDRESS, Address, Json, Timeout, connect

if TYPE_CHECKING:
    from rich.table import Table

    from service.client import SessionInfo


SPARE = ("durability", "durable", "turns", "state", "written", "read", "where", "left", "model")
"""Columns that a narrow terminal does without; --json has them all."""


def sessions(
    close: Annotated[
        list[str] | None, typer.Option("--close", metavar="ID", help="End this session; may be repeated.")
    ] = None,
    json: Json = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """List the sessions that a server and its store have, or end some.

    \b
    seqserve sessions
    seqserve sessions --close Zw7vJDCPqbgv5evKNYCC8xjd
    """
    with connect(address, timeout) as client:
        for session_id in close or ():
            client.close_session(session_id)
        if close:
            return
        found = client.sessions()
    if json:
        for one in found:
            output.json_line(_as_json(one))
    else:
        output.table(overview(found, datetime.now(UTC)), SPARE)


def overview(found: "list[SessionInfo]", now: datetime) -> "Table":
    from rich.table import Table

    rows = Table(box=None, pad_edge=False, header_style="bold")
    for title in (
        "session",
        "model",
        "where",
        "read",
        "written",
        "turns",
        "durable",
        "durability",
        "left",
        "state",
    ):
        rows.add_column(
            title,
            justify="right" if title in ("read", "written", "turns", "durable") else "left",
            overflow="fold",  # an id is shown whole, since --close wants it
        )
    for one in found:
        left_s = max(0, round((one.expires - now).total_seconds()))
        numbers = (one.input_position, one.output_position, one.num_turns, one.durable_turn)
        rows.add_row(
            one.session_id,
            str(one.model),
            one.tier,
            *map(str, numbers),
            one.durability,
            f"{left_s} s",
            output.size(one.state_bytes),
        )
    return rows


def _as_json(one: "SessionInfo") -> dict[str, Any]:
    return asdict(one) | {"model": str(one.model), "expires": one.expires.isoformat()}
