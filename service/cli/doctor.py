"""`seqserve doctor`."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import called, output
from service.cli.options import Json
from service.cli.settings import ConfigFile, store_flags
from service.cli.stop import FAILURE

if TYPE_CHECKING:
    from service.cli.checks.finding import Finding
    from service.config import Settings

MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "problem": "[bold red]✗[/]"}
Section = tuple[str, Callable[[], "Iterable[Finding]"]]


def doctor(
    host: Annotated[str | None, typer.Option(help="Address that would be listened on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port that would be listened on.")] = None,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with the models. \\[default: models]")
    ] = None,
    config: ConfigFile = None,
    store: Annotated[
        str | None, typer.Option(metavar="STORE", help="The store, as `serve` takes it.")
    ] = None,
    json: Json = False,
) -> None:
    """Look whether a server can serve here, and say what to do where it cannot.

    It reads the settings as `serve` does, looks at packages, machine, store and ports, and loads and tries every model.
    The exit code is 0 when all can be served, 1 when something is in the way; a seqserve that serves there already
    is not.

    \b
    seqserve doctor
    seqserve doctor --models ./models --store redis://127.0.0.1:6379
    seqserve doctor --json
    """
    flags = {
        "server": {"host": host, "port": port},
        "models": {"repository": models},
        "store": store_flags(store),
    }
    started = time.perf_counter()
    found = _all(_sections(config, flags), json)
    _conclude(found, time.perf_counter() - started, json)


def _sections(config: Path | None, flags: Mapping[str, Any]) -> Iterator[Section]:
    """The sections in turn; what hangs on the settings comes only where these can be read."""
    read: list[Settings | None] = []

    def settings() -> "Iterable[Finding]":
        from service.cli.checks import settings

        value, findings = settings.read(config, flags)
        read.append(value)
        return findings

    yield "software", _software
    yield "settings", settings
    if read and read[0] is not None:
        value = read[0]
        yield "machine", lambda: _machine(value)
        yield "models", lambda: _models(value)
        yield "store", lambda: _store(value)
        yield "security", lambda: _security(value)
        yield "ports", lambda: _ports(value)


# Each section imports what it needs when its turn comes: where a package is missing, the others still tell.


def _software() -> "Iterable[Finding]":
    from service.cli.checks.software import software

    return software()


def _machine(settings: "Settings") -> "Iterable[Finding]":
    from service.cli.checks.machine import machine

    return machine(settings)


def _models(settings: "Settings") -> "Iterable[Finding]":
    from service import logs
    from service.cli.checks.models import models

    logs.configure("error", "console")
    return models(settings)


def _store(settings: "Settings") -> "Iterable[Finding]":
    from service.cli.checks.store import store

    return store(settings)


def _security(settings: "Settings") -> "Iterable[Finding]":
    from service.cli.checks.security import security

    return security(settings)


def _ports(settings: "Settings") -> "Iterable[Finding]":
    from service.cli.checks.ports import ports

    return ports(settings)


def _all(sections: Iterator[Section], json: bool) -> "list[Finding]":
    """Every finding, told as soon as its section is done, or at once to machines."""
    every: list[Finding] = []
    for title, check in sections:
        found: list[Finding] = []
        with _working(title) as tell:
            for finding in _outcome(title, check):
                tell(finding.about)
                found.append(finding)
                if json:
                    output.json_line({"section": title, **asdict(finding)})
        if not json:
            _print(title, found)
        every += found
    return every


def _outcome(title: str, check: "Callable[[], Iterable[Finding]]") -> "Iterator[Finding]":
    """What a check finds; one that breaks is a finding itself."""
    from service.cli.checks.finding import problem

    try:
        yield from check()
    except ModuleNotFoundError as error:
        yield problem(title, str(error), "pip install --upgrade seqserve, into the Python named above")
    except Exception as error:
        yield problem(title, f"the check itself failed: {error!r}", "report this line; the other checks hold")


@contextmanager
def _working(title: str) -> Iterator[Callable[[str], None]]:
    """Show a person who waits what is being looked at."""
    from rich.console import Console

    if not sys.stderr.isatty():
        yield lambda about: None
        return
    with Console(stderr=True).status(f"looking at {title}") as status:
        yield lambda about: status.update(f"looking at {title}: {about}")


def _print(title: str, found: "list[Finding]") -> None:
    from rich.markup import escape
    from rich.table import Table

    rows = Table.grid(padding=(0, 1))
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for finding in found:
        if not finding.text:
            continue
        rows.add_row(MARKS[finding.level], escape(finding.about), escape(finding.text))
        if finding.advice:
            rows.add_row("", "", f"[bold]→[/] {escape(finding.advice)}")
    output.line(title)
    output.table(rows)


def _conclude(found: "list[Finding]", seconds: float, json: bool) -> None:
    levels = [finding.level for finding in found]
    problems, warnings = levels.count("problem"), levels.count("warning")
    if json:
        facts = {"serves": not problems, "problems": problems, "warnings": warnings}
        output.json_line({"section": "conclusion", **facts, "seconds": round(seconds, 2)})
    elif problems:
        output.line(
            f"\n{problems} in the way ({seconds:.1f} s): do what stands after → at each ✗, then ask again."
        )
    elif any(finding.facts.get("seqserve") for finding in found):
        output.line(f"\nAll can be served ({seconds:.1f} s), and a seqserve serves already.")
    else:
        output.line(f"\nAll can be served ({seconds:.1f} s). Start with: {called.name()} serve")
    if problems:
        raise typer.Exit(FAILURE)
