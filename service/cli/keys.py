"""`seqserve keys`: access keys, by which a server knows its callers."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import output
from service.cli.options import Json
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.api.access_keys import AccessKey

app = typer.Typer()

KeysFile = Annotated[
    Path,
    typer.Option(
        "--file",
        "-f",
        envvar="SEQSERVE_AUTH__ACCESS_KEYS_FILE",
        metavar="FILE",
        help="The server's file of keys.",
    ),
]
DEFAULT_FILE = Path("access.keys")


@app.callback(invoke_without_command=True)
def keys(context: typer.Context) -> None:
    """Add, list and remove the access keys of a server."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("add")
def add(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Whose key it will be.")],
    file: KeysFile = DEFAULT_FILE,
    admin: Annotated[bool, typer.Option("--admin", help="May load and unload models, too.")] = False,
    days: Annotated[
        float | None, typer.Option(min=0.0001, help="Days it is good for. \\[default: always]")
    ] = None,
) -> None:
    """Make a key and print it: this is the only time that it is shown. The file keeps a hash of it.

    \b
    seqserve keys add alice > alice.key
    seqserve keys add root --admin --days 30
    """
    from service.api.access_keys import new_key

    _check_owner(owner)
    now = datetime.now(UTC).replace(microsecond=0)
    expires = now + timedelta(days=days) if days else None
    key, known = new_key(owner, admin=admin, expires=expires, now=now)
    with _rewriting(file) as known_keys:
        known_keys.append(known)
    output.line(key)
    typer.secho(
        f"key {known.id} of {owner} is in {file}; what was printed is shown only now", err=True, dim=True
    )


@app.command("list")
def list_keys(file: KeysFile = DEFAULT_FILE, json: Json = False) -> None:
    """Whose keys there are, and until when they are good."""
    from rich.table import Table

    found = _read(file)
    if json:
        for key in found:
            output.json_line(key.model_dump(mode="json", exclude={"sha256"}))
        return
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("key", "owner", "roles", "made", "good until"):
        rows.add_column(title)
    for key in found:
        rows.add_row(key.id, key.owner, " ".join(key.roles), f"{key.created:%Y-%m-%d}", _end(key))
    output.table(rows)


@app.command("remove")
def remove(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `keys list` shows it.")],
    file: KeysFile = DEFAULT_FILE,
) -> None:
    """Take a key away: within seconds no server that reads the file lets anybody in with it."""
    with _rewriting(file) as known_keys:
        left = [key for key in known_keys if key.id != key_id]
        if len(left) == len(known_keys):
            raise Stop(f"{file} holds no key {key_id}; see: seqserve keys list")
        known_keys[:] = left
    output.line(f"removed {key_id}")


def _end(key: "AccessKey") -> str:
    if key.expires is None:
        return "always"
    is_over = key.expires <= datetime.now(UTC)
    return f"{key.expires:%Y-%m-%d %H:%M}" + (" (over)" if is_over else "")


def _check_owner(owner: str) -> None:
    from service.api.callers import owner_named
    from service.errors import Unauthenticated

    try:
        owner_named(owner, "OWNER")
    except Unauthenticated as error:
        raise Stop(str(error), USAGE) from None


def _read(file: Path) -> "list[AccessKey]":
    from service.api.access_keys import read_keys

    if not file.exists():
        raise Stop(f"there is no {file}; make it with: seqserve keys add OWNER --file {file}")
    return read_keys(file)


@contextmanager
def _rewriting(file: Path) -> "Iterator[list[AccessKey]]":
    """The keys, written back whole on the way out; whoever else writes waits."""
    from service.api.access_keys import to_toml

    with _locked(file):
        found = _read(file) if file.exists() else []
        yield found
        fresh = file.with_name(f".{file.name}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            if file.exists():
                _as_before(written.fileno(), file.stat())
            written.write(to_toml(found))
            written.flush()
            os.fsync(written.fileno())
        fresh.replace(file)


def _as_before(descriptor: int, before: os.stat_result) -> None:
    """The same mode, and the same owner where we may say so: the server goes on reading it."""
    os.fchmod(descriptor, before.st_mode & 0o777)
    if os.geteuid() == 0:
        os.fchown(descriptor, before.st_uid, before.st_gid)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    try:
        folder = os.open(file.absolute().parent, os.O_RDONLY)
    except OSError as error:
        raise Stop(f"cannot write {file}: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise Stop(f"cannot write {file}: {error.strerror}") from None
    finally:
        os.close(folder)
