"""How much of the machine this process may use, where it runs in a container."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 1 << 60
"""Version 1 writes a number above this where it sets no limit."""


@dataclass(frozen=True)
class Quota:
    """The tightest limits of all control groups above this process; None: no limit."""

    cores: float | None = None
    memory_bytes: int | None = None


def quota(own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Quota:
    """Of this process, by control groups of version 1 or 2; without limits where there are none."""
    folders = list(dict.fromkeys(_folders(own, root)))
    cores = [cores for folder in folders if (cores := _cores(folder)) is not None]
    memory = [size for folder in folders if (size := _memory(folder)) is not None]
    return Quota(min(cores, default=None), min(memory, default=None))


def num_cores() -> int:
    """Cores that this process may run on, whatever share of their time it is given."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """Whole cores that this process can keep busy: of those it may run on, what its control groups allow."""
    return max(1, int(min(num_cores(), quota().cores or num_cores())))


def _folders(own: Path, root: Path) -> Iterator[Path]:
    """Those of the process and all above; a container may see its own as the root."""
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            base = root / controllers
            inner = base / path.lstrip("/")
            yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(base))


def _cores(folder: Path) -> float | None:
    if (both := _words(folder / "cpu.max")) and both[0] != "max":
        return int(both[0]) / int(both[1])
    allowed, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return int(allowed[0]) / int(period[0]) if allowed and period and int(allowed[0]) > 0 else None


def _memory(folder: Path) -> int | None:
    words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
    return int(words[0]) if words and words[0] != "max" and int(words[0]) < UNLIMITED else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
