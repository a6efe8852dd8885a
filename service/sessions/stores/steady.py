"""The time that lies in a file: the wall clock's, as it was when the file was first used since this machine came up.

From then on it goes with the machine's steady clock, the same for all processes: when somebody sets the wall clock, by
hours or days, no session in the file is over early, and none lives on.
"""

import sqlite3
import time
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TABLE = "CREATE TABLE IF NOT EXISTS clock (boot TEXT PRIMARY KEY, ahead_s REAL NOT NULL) WITHOUT ROWID"
"""How far ahead the time in the file is of the steady clock, since this machine came up."""


class SteadyClock:
    """The wall clock, until `anchor` has found out what the others who use a file go by."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def __call__(self) -> float:
        return time.time() if self._ahead_s is None else _steady_s() + self._ahead_s

    def anchor(self, db: sqlite3.Connection) -> None:
        """Go by the time in the file, or begin it; within a transaction that may write."""
        boot = _boot()
        if boot:
            db.execute(TABLE)
            db.execute("DELETE FROM clock WHERE boot != ?", (boot,))
            db.execute("INSERT OR IGNORE INTO clock VALUES (?, ?)", (boot, time.time() - _steady_s()))
            (self._ahead_s,) = db.execute("SELECT ahead_s FROM clock WHERE boot = ?", (boot,)).fetchone()
        elif self._ahead_s is None:  # no Linux: at least for as long as this process runs
            self._ahead_s = time.time() - _steady_s()


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _steady_s() -> float:
    """Seconds that also count while the machine sleeps, where the system can tell them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
