"""What the client knows of a session, whichever client carries its messages."""

from seqserve.v1.session_pb2 import Output as OutputMessage
from seqserve.v1.session_pb2 import SessionRequest, SessionResponse
from service.client import replies, requests
from service.client.errors import NotPossible, ServerFailed
from service.client.results import ModelVersion

BUSY_WAITS_S = (0.05, 0.1, 0.2, 0.4)
"""The server may learn a little late that the stream it still waits on is gone."""


class Record:
    """Where a session stands, and how it is begun or taken up again."""

    def __init__(self, opening: SessionRequest, timeout: float | None) -> None:
        self.session_id = ""
        """Keep it to `resume` the session later, from anywhere."""
        self.model = ModelVersion("", "")
        self.input_position = 0
        """Inputs the session has consumed."""
        self.output_position = 0
        """Outputs it has emitted."""
        self.ttl_s = 0.0
        """How long the server keeps it while no stream holds it."""
        self.closed = False
        self._writing = False
        self._opening = opening
        self._default_timeout = timeout

    def _first_request(self) -> SessionRequest:
        if self.closed:
            raise NotPossible("this session is closed; open a new one")
        return requests.resume(self.session_id) if self.session_id else self._opening

    def _check_not_writing(self) -> None:
        if self._writing:
            raise NotPossible(
                "the session is still writing: read the tokens of generate() to the end, or cancel them"
            )

    def _note_opened(self, answer: SessionResponse) -> None:
        opened = answer.opened
        _expect(answer, "opened")
        self.session_id = opened.session_id
        self.model = replies.model_version(opened.model)
        self.ttl_s = opened.ttl.ToTimedelta().total_seconds()
        self._note_positions(opened.input_position, opened.output_position)

    def _note_output(self, answer: SessionResponse) -> OutputMessage:
        _expect(answer, "output")
        self._note_positions(answer.output.input_position, answer.output.output_position)
        return answer.output

    def _note_closed(self, answer: SessionResponse) -> None:
        _expect(answer, "closed")
        self._note_positions(answer.closed.input_position, answer.closed.output_position)

    def _note_positions(self, inputs: int, outputs: int) -> None:
        self.input_position, self.output_position = inputs, outputs

    def _within(self, timeout: float | None) -> float | None:
        return self._default_timeout if timeout is None else timeout


def _expect(answer: SessionResponse, kind: str) -> None:
    came = answer.WhichOneof("response")
    if came != kind:
        raise ServerFailed(f"the server answered {came or 'something this client does not know'}, not {kind}")
