"""What a person sees of a run: a bar on a terminal, lines elsewhere, TensorBoard, `log.jsonl` and its picture."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch.utils.tensorboard import SummaryWriter

from training.fit.curve import draw

EVERY_S = 20.0


class Reporter:
    """Loss, speed and remaining time while training; every evaluation in full. A silent one says and writes nothing."""

    def __init__(self, out: Path, silent: bool = False) -> None:
        self._silent = silent
        self._log = out / "log.jsonl"
        self._board = None if silent else SummaryWriter(str(out / "tensorboard"))
        self._bar = _bar() if sys.stderr.isatty() and not silent else None
        self._task = self._bar.add_task("training", total=1.0, text="") if self._bar else None
        self._window = _Window()
        self._since = _Window()
        """Since the last evaluation."""

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()
        if self._board:
            self._board.close()

    def say(self, text: str) -> None:
        """A line."""
        if self._bar:
            self._bar.console.print(text, highlight=False)
        elif not self._silent:
            print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def update(self, step: int, spent: float, loss: float, tokens: int, rate: float) -> None:
        """After an update: mean `loss` of its `tokens` targets, and the share `spent` of the budget."""
        for window in (self._window, self._since):
            window.add(loss * tokens, tokens, spent)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=spent, text=self._window.text())
        if self._window.age() >= EVERY_S:
            self._flush(step, rate)

    def evaluated(self, entry: dict[str, float]) -> None:
        """An evaluation on dev: a line, a line of `log.jsonl`, a point in TensorBoard."""
        if self._silent:
            return
        entry, self._since = entry | {"train_loss": self._since.loss()}, _Window()
        self.say("  ".join(f"{name} {value:.6g}" for name, value in entry.items()))
        with self._told(), self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        with self._told():
            draw(self._log, self._log.with_name("curve.png"), self._log.parent.name)
        self._point(
            int(entry["step"]), {f"dev/{name}": value for name, value in entry.items() if name != "step"}
        )

    def _flush(self, step: int, rate: float) -> None:
        if not self._bar:
            self.say(f"step {step}  {self._window.text()}  rate {rate:.2e}")
        self._point(
            step, {"train/loss": self._window.loss(), "train/rate": rate, "train/speed": self._window.speed()}
        )
        self._window = _Window()

    def _point(self, step: int, values: dict[str, float]) -> None:
        if self._board:
            with self._told():
                for name, value in values.items():
                    self._board.add_scalar(name, value, step)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A log that cannot be written, on a full disk say, is no reason to stop."""
        try:
            yield
        except OSError as error:
            self.say(f"cannot write the log: {error.strerror}")


class _Window:
    """Sums over the last stretch of training."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._loss, self._tokens = 0.0, 0
        self._first_spent: float | None = None
        self._spent = 0.0

    def add(self, loss: float, tokens: int, spent: float) -> None:
        self._loss, self._tokens, self._spent = self._loss + loss, self._tokens + tokens, spent
        if self._first_spent is None:
            self._first_spent = spent

    def age(self) -> float:
        return time.monotonic() - self._start

    def loss(self) -> float:
        return self._loss / max(1, self._tokens)

    def speed(self) -> float:
        return self._tokens / max(1e-9, self.age())

    def minutes_left(self) -> float:
        gained = self._spent - (self._first_spent or 0.0)
        return (1.0 - self._spent) * self.age() / gained / 60 if gained > 0 else 0.0

    def text(self) -> str:
        left = self.minutes_left()
        return f"{self._spent:.1%}  loss {self.loss():.3f}  {self.speed():.0f} tokens/s  {left:.0f} min left"


def _bar() -> Progress:
    return Progress(BarColumn(), TextColumn("{task.fields[text]}"), console=Console(stderr=True))
