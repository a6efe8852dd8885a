"""One target, fuzzed in a process of its own for a while: what came of it."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS

SLOWEST_S = 10
"""One input that takes longer is a finding."""
MAX_RSS_MB = 3000
_PULSE = re.compile(r"^#(\d+)\s+\w+\s+(?:cov: (\d+))?")
_FINAL = re.compile(r"^stat::(\w+):\s+(\d+)")


@dataclass
class Outcome:
    """Of one target."""

    name: str
    executions: int = 0
    per_s: int = 0
    edges: int = 0
    new_files: int = 0
    finding: str = ""
    """What was raised, and the file that raises it."""


def fuzz(name: str, seconds: int, findings: Path, tell: Callable[[Outcome], None], *, keep: bool) -> Outcome:
    """Fuzz for so many seconds or up to the first finding, which lies in `findings` then; `keep` adds to the corpus."""
    outcome = Outcome(name)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as scratch:
        made, known = Path(scratch, "made"), corpus.FOLDER / name
        corpus.write_seeds(target := TARGETS[name](), made)
        num_seeds = len(list(made.iterdir()))
        known.mkdir(parents=True, exist_ok=True)
        findings.mkdir(parents=True, exist_ok=True)
        words = corpus.write_words(target, Path(scratch, "words"))
        arguments = [
            f"-max_total_time={seconds}",
            f"-timeout={SLOWEST_S}",
            f"-rss_limit_mb={MAX_RSS_MB}",
            f"-max_len={target.max_bytes}",
            f"-artifact_prefix={findings}/{name}-",
            *([f"-dict={words}"] if target.words else []),
            "-print_final_stats=1",
        ]
        _run(name, [*arguments, str(made), str(known)], outcome, tell)
        outcome.new_files = len(list(made.iterdir())) - num_seeds
        if keep and not outcome.finding:
            corpus.keep(made, known)
    return outcome


def _run(name: str, arguments: list[str], outcome: Outcome, tell: Callable[[Outcome], None]) -> None:
    command = [sys.executable, "-m", "tests.fuzz.child", name, *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout
    last: list[str] = []
    for line in process.stdout:
        last = [*last[-400:], line.rstrip()]
        if _read(line, outcome):
            tell(outcome)
    if process.wait():
        outcome.finding = _finding(last) or f"ended with {process.returncode}: {' | '.join(last[-3:])}"


def _read(line: str, outcome: Outcome) -> bool:
    """Whether the line told of the progress."""
    if pulse := _PULSE.match(line):
        outcome.executions = max(outcome.executions, int(pulse[1]))
        outcome.edges = int(pulse[2] or outcome.edges)
        return True
    if final := _FINAL.match(line):
        if final[1] == "number_of_executed_units":
            outcome.executions = int(final[2])
        if final[1] == "average_exec_per_sec":
            outcome.per_s = int(final[2])
    return False


def _finding(lines: list[str]) -> str:
    """From the end of the output: the exception, or what libFuzzer says, and where its input lies."""
    raised = [after for line, after in pairwise(lines) if "Uncaught Python exception" in line]
    said = [line.partition("libFuzzer: ")[2] for line in lines if "ERROR: libFuzzer" in line]
    where = [line.rpartition(" ")[2] for line in lines if "Test unit written to" in line]
    return f"{(raised or said)[0]} ({where[-1] if where else 'no file'})" if raised or said else ""
