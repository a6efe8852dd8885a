"""The process that fuzzes one target: `python -m tests.fuzz.child TARGET`, then what libFuzzer is told.

It ends at the first finding, which libFuzzer writes into a file.
"""

import logging
import os
import resource
import sys

import atheris
import structlog

from tests.fuzz.targets import TARGETS

PAGE = resource.getpagesize()


def bound_memory(more_bytes: int) -> None:
    """What asks for more than this beyond what there is now gets a MemoryError, which is a finding."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, resource.RLIM_INFINITY))


def main() -> None:
    name, *arguments = sys.argv[1:]
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with atheris.instrument_imports(include=["service", "wave"]):
        target = TARGETS[name]()
        for seed in target.seeds():
            target(seed)
            break
    bound_memory(target.memory_bytes)
    mutate = {"custom_mutator": target.mutate} if target.mutate else {}
    atheris.Setup([sys.argv[0], *arguments], target, **mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
