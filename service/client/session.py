"""A session over the sync client.

A failed request changes nothing on the server and ends the stream, not the session: the next request takes the
session up again.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self, Unpack

from seqserve.v1.session_pb2 import Output as OutputMessage
from seqserve.v1.session_pb2 import SessionRequest, SessionResponse
from service.client import replies, requests
from service.client.errors import Cancelled, ClientError, SessionBusy
from service.client.exchange import Exchange
from service.client.options import Decoding
from service.client.record import BUSY_WAITS_S, Record
from service.client.results import Output
from service.client.streams import TokenStream

if TYPE_CHECKING:
    from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub


class Session(Record):
    """A session over the sync client; a context manager that closes it at the end.

    `detach` leaves it on the server instead, for `Client.resume`, until its time to live is over.
    """

    def __init__(
        self, stub: "SequenceServiceStub", address: str, opening: SessionRequest, timeout: float | None
    ) -> None:
        super().__init__(opening, timeout)
        self._stub = stub
        self._address = address
        self._exchange: Exchange | None = None
        self._stream()

    def feed(self, text: str, *, end_of_input: bool = False, timeout: float | None = None) -> Output:
        """Give the model more text, cut anywhere: the last word is held back until white space, or the end of input.

        After `end_of_input` the next feed begins a new text.
        """
        return self._feed(requests.feed(text, end_of_input), timeout)

    def feed_ids(
        self, ids: Sequence[int], *, end_of_input: bool = False, timeout: float | None = None
    ) -> Output:
        """Give the model token ids of its own vocabulary."""
        return self._feed(requests.feed_ids(ids, end_of_input), timeout)

    def generate(self, *, timeout: float | None = None, **decoding: Unpack[Decoding]) -> TokenStream:
        """End the input and let the model write, once the stream is read; `timeout` bounds the wait for each message.

        Tokens come as they are made, unless a beam is asked for (the default is greedy). Until the last has been read,
        or the stream cancelled, the session takes nothing else.
        """
        outputs = self._outputs(requests.generate(decoding), timeout)
        return TokenStream(outputs, self._stop_writing, self.model)

    def close(self) -> None:
        """End the session; the server forgets its state. Closing twice does nothing."""
        if not self.closed:
            self._stop_writing()
            self._note_closed(self._ask(requests.close(), None))
            self.closed = True
            self.detach()

    def detach(self) -> None:
        """Leave the stream but not the session: it waits on the server until its time to live is over."""
        if self._exchange is not None:
            self._exchange.leave()
        self._exchange, self._writing = None, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ClientError):  # what cannot be closed ends with its time to live
            self.close()
        self.detach()

    def _feed(self, request: SessionRequest, timeout: float | None) -> Output:
        return replies.output(self._note_output(self._ask(request, timeout)))

    def _outputs(self, request: SessionRequest, timeout: float | None) -> Iterator[OutputMessage]:
        output = self._note_output(self._ask(request, timeout))
        while not output.finish_reason:
            self._writing = True
            yield output
            output = self._note_output(self._receive(timeout))
        self._writing = False
        yield output

    def _ask(self, request: SessionRequest, timeout: float | None) -> SessionResponse:
        self._check_not_writing()
        exchange = self._stream()
        exchange.send(request)
        return self._receive(timeout)

    def _receive(self, timeout: float | None) -> SessionResponse:
        if self._exchange is None:
            raise Cancelled("the session's stream was left while it was read")
        try:
            return self._exchange.receive(self._within(timeout))
        except BaseException:
            self.detach()
            raise

    def _stop_writing(self) -> None:
        if self._writing:
            self.detach()

    def _stream(self) -> Exchange:
        """Return the open stream; open the session, or take it up again, where there is none."""
        if self._exchange is None:
            request = self._first_request()
            for wait_s in BUSY_WAITS_S:
                with suppress(SessionBusy):
                    return self._begin(request)
                time.sleep(wait_s)
            return self._begin(request)
        return self._exchange

    def _begin(self, request: SessionRequest) -> Exchange:
        exchange = Exchange(self._stub, self._address)
        exchange.send(request)
        self._note_opened(exchange.receive(self._within(None)))
        self._exchange = exchange
        return exchange
