"""The parent of workers that are no servers: a process of its own, since it forks."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.service.cli.process import PATIENCE_S, Process

SCRIPT = """
import os, signal, sys, time
from service.config import Settings
from service.workers import parent
from service.workers.worker import LISTENS, LOADED

def work(settings, index, line, agreed, on_start):
    try:
        {work}
    finally:
        os._exit(9)

def hears(line, what):
    while (messages := line.hear()) is not None:
        for message in messages:
            tell(INDEX, "hears", message["say"])
            if message["say"] == what:
                return
    os._exit(8)

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # in one piece: both write

parent.work = work
{more}
settings = Settings.load(flags={{"server": {{"port": 0, "workers": 2, "grace_s": {grace_s}}}}}, environment={{}})
try:
    sys.exit(parent.supervise(settings))
except Exception as error:
    sys.exit(f"{{type(error).__name__}}: {{error}}")
"""
SERVES = """
        global INDEX
        INDEX = index
        tell(index, "begins", os.getpid())
        line.say(LOADED, models=[])
        hears(line, "listen")
        line.say(LISTENS)
        hears(line, "drain")
        os._exit(0)
"""


@contextmanager
def parent(work: str, more: str = "", grace_s: float = 30) -> "Iterator[subprocess.Popen[str]]":
    script = SCRIPT.format(work=work.strip(), more=more, grace_s=grace_s)
    with tempfile.TemporaryDirectory() as folder:  # a parent that is killed leaves its store there
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**Process().environment, "TMPDIR": folder},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def line_of(process: "subprocess.Popen[str]", pattern: str) -> "re.Match[str]":
    assert process.stdout
    for line in process.stdout:
        if found := re.fullmatch(pattern, line.strip()):
            return found
    raise AssertionError(f"{pattern!r} did not come")


def test_workers_that_die_as_they_start_are_given_up_with_how_they_died() -> None:
    with parent("os._exit(3)") as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "workers end as soon as they are started, 5 in a row, the last one: exit code 3" in err
    assert re.findall(r"again_in_s=([\d.]+)", err) == ["0.1", "0.2", "0.4", "0.8"]


def test_a_worker_that_is_refused_ends_all_with_the_reason() -> None:
    with parent(
        'line.say("refused", why="no such thing"); hears(line, "nothing") if index else None'
    ) as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "ConfigRefused: no such thing" in err


def test_nobody_listens_before_all_are_loaded() -> None:
    slow = SERVES.replace(
        "line.say(LOADED, models=[])",
        'time.sleep(index); tell(index, "loaded"); line.say(LOADED, models=[])',
    )
    with parent(slow) as process:
        assert process.stdout
        told = [line_of(process, r"(\d) (loaded|hears listen)").groups() for _ in range(4)]
    assert sorted(told[:2]) == [("0", "loaded"), ("1", "loaded")]


def test_a_second_signal_turns_out_and_a_worker_that_stays_is_killed() -> None:
    stays = SERVES.replace(
        'hears(line, "drain")', 'hears(line, "drain"); hears(line, "turn out"); time.sleep(60)'
    )
    with parent(stays, more="parent.LAST_WORDS_S = 3", grace_s=0.2) as process:
        for _ in range(2):
            line_of(process, r"\d hears listen")
        process.send_signal(signal.SIGTERM)
        for _ in range(2):
            line_of(process, r"\d hears drain")
        process.send_signal(signal.SIGINT)
        for _ in range(2):
            line_of(process, r"\d hears turn out")
        assert process.wait(PATIENCE_S) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_they_load_ends_them(number: signal.Signals) -> None:
    with parent(SERVES.replace("line.say(LOADED, models=[])", "time.sleep(60)")) as process:
        pids = [int(line_of(process, r"\d begins (\d+)")[1]) for _ in range(2)]
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_one_that_dies_later_is_begun_again_while_the_other_goes_on() -> None:
    with parent(SERVES) as process:
        pids = {
            found[1]: int(found[2]) for found in (line_of(process, r"(\d) begins (\d+)") for _ in range(2))
        }
        for _ in range(2):
            line_of(process, r"\d hears listen")
        os.kill(pids["1"], signal.SIGKILL)
        again = line_of(process, r"(\d) begins (\d+)")
        assert again[1] == "1"
        line_of(process, r"1 hears listen")
        os.kill(pids["0"], 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
