"""Many texts through a sync client: several requests under way at once, answers in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Condition, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from service.client.batches import Batches

if TYPE_CHECKING:
    from grpc import Future

R = TypeVar("R")

Send = Callable[[list[str]], "Future[R]"]


class Pipeline(Generic[R]):
    """Reads texts on a thread of its own, so that answers come as soon as they can while the source still waits.

    Iterating gives each request's texts with its future, in order. At most `batches.max_under_way` requests are ahead
    of the reader. An error of the source is raised after the answers to all that came before it.
    """

    def __init__(self, texts: Iterable[str], send: "Send[R]", batches: Batches[str]) -> None:
        self._texts = texts
        self._send = send
        self._batches = batches
        self._changed = Condition()
        self._sent: deque[tuple[list[str], Future[R]]] = deque()
        self._failure: BaseException | None = None
        self._left = False

    def __iter__(self) -> Iterator[tuple[list[str], "Future[R]"]]:
        Thread(target=self._read, name="seqserve-texts", daemon=True).start()
        try:
            while request := self._oldest():
                yield request
                self._landed()
        finally:
            self._leave()
        if self._failure is not None:
            raise self._failure

    def _read(self) -> None:
        try:
            for text in self._texts:
                with self._changed:
                    self._batches.add(text)
                    self._send_more()
                    self._changed.wait_for(lambda: self._left or not self._batches.full)
                    if self._left:
                        return
            self._end(None)
        except BaseException as error:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        """No text will come any more. What keeps the rest from being sent counts like an error of the source."""
        with self._changed:
            self._failure = error
            self._batches.ended = True
            try:
                self._send_more()
            except BaseException as failed:
                self._failure = error or failed
                self._batches.give_up()
            self._changed.notify_all()

    def _oldest(self) -> tuple[list[str], "Future[R]"] | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._sent) or self._batches.done)
            return self._sent[0] if self._sent else None

    def _landed(self) -> None:
        with self._changed:
            self._sent.popleft()
            self._batches.landed()
            self._send_more()

    def _leave(self) -> None:
        with self._changed:
            self._left = True
            for _, call in self._sent:
                call.cancel()
            self._changed.notify_all()

    def _send_more(self) -> None:
        while not self._left and (texts := self._batches.take()):
            try:
                self._sent.append((texts, self._send(texts)))
            except BaseException:
                self._batches.landed()
                raise
        self._changed.notify_all()
