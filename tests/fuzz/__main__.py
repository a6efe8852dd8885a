"""`python -m tests.fuzz [TARGET…] --seconds N`: fuzz, coverage guided, and show what came of it."""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.table import Table

from tests.fuzz.campaign import Outcome, fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all of them")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="take into the corpus what reaches more than it")
    parser.add_argument("--findings", type=Path, help="the folder for inputs that are findings")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"no target is called {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    findings = given.findings or Path(tempfile.mkdtemp(prefix="findings-"))
    console, outcomes = Console(stderr=True), []
    for name in given.targets or TARGETS:
        with console.status(name) as status:

            def tell(now: Outcome, status: Status = status) -> None:
                status.update(f"{now.name}: {now.executions:,} executions, {now.edges:,} edges")

            outcomes.append(fuzz(name, given.seconds, findings, tell, keep=given.keep))
        console.print(_line(outcomes[-1]))
    Console().print(_table(outcomes, given.seconds))
    return any(outcome.finding for outcome in outcomes)


def _line(outcome: Outcome) -> str:
    return f"{outcome.name}: {outcome.finding or 'no finding'}"


def _table(outcomes: list[Outcome], seconds: int) -> Table:
    table = Table(
        "target", "executions", "per second", "edges", "new files", "finding", title=f"{seconds} s each"
    )
    for one in outcomes:
        numbers = (one.executions, one.per_s, one.edges, one.new_files)
        table.add_row(one.name, *(f"{number:,}" for number in numbers), one.finding or "none")
    return table


if __name__ == "__main__":
    sys.exit(main())
