"""Callers in a process of their own: `python -m benchmarks.overload_client`, told on stdin, telling on stdout."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.overload_load import Ended, Load
from benchmarks.overload_uses import uses
from service.client import HoldingBack


@dataclass(frozen=True)
class Order:
    """What load is wanted."""

    address: str
    translator: str
    classifier: str
    sentences: int
    """In a translation."""
    seconds: float
    per_s: float = 0.0
    """In an open loop; 0 where `at_once` counts."""
    at_once: int = 0
    seed: int = 0
    holding_back: HoldingBack | None = None
    """None: every call is sent."""


@dataclass(frozen=True)
class Heard:
    """What became of it."""

    ended: Sequence[Ended]
    cpu_s: float
    """What this process itself used."""


def begin(order: Order) -> "subprocess.Popen[str]":
    """The callers, in their process."""
    command = [sys.executable, "-m", "benchmarks.overload_client"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write(json.dumps(asdict(order)) + "\n")
    process.stdin.flush()
    return process


def heard(process: "subprocess.Popen[str]") -> Heard:
    """Wait for the end of it."""
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the callers' process has failed with status {process.returncode}")
    told = json.loads(said)
    return Heard([Ended(*each) for each in told["ended"]], told["cpu_s"])


def main() -> None:
    told = json.loads(sys.stdin.readline())
    held = told.pop("holding_back")
    order = Order(**told, holding_back=HoldingBack(**held) if held else None)
    kinds = uses(order.translator, order.classifier, order.sentences)
    load = Load(order.address, kinds, order.seconds, order.seed, holding_back=order.holding_back)
    cpu = time.process_time()
    ended = load.open(order.per_s) if order.per_s else load.closed(order.at_once)
    json.dump({"ended": ended, "cpu_s": time.process_time() - cpu}, sys.stdout)


if __name__ == "__main__":
    main()
