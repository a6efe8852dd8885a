"""What the client knows of a session: who it is and where it stands, whichever client carries its messages."""

from seqserve.v1.model_pb2 import ModelSelector
from seqserve.v1.session_pb2 import Closed, Opened, Output, Rewound, SessionRequest, SessionResponse
from service.client import replies, requests
from service.client.errors import Details, NotPossible, ServerFailed, SessionBusy, SessionLost, Unavailable
from service.client.results import ModelVersion


class Record:
    """Where a session stands, and how it is begun or taken up again."""

    def __init__(self, opening: SessionRequest, timeout: float | None) -> None:
        self.session_id = ""
        """Keep it to `resume` the session later, from anywhere."""
        self.model = ModelVersion("", "")
        self.durability = ""
        """What the session got: `every step`, `every 8 steps`, `none`; empty where the server does not say."""
        self.input_position = 0
        """Inputs the session has consumed."""
        self.output_position = 0
        """Outputs it has emitted."""
        self.ttl_s = 0.0
        """How long the server keeps it while no stream holds it."""
        self.closed = False
        self._writing = False
        self._held_before = False
        self._opening = opening
        self._default_timeout = timeout

    def _first_request(self) -> SessionRequest:
        if self.closed:
            raise NotPossible("this session is closed; open a new one")
        return requests.resume(self.session_id) if self.session_id else self._opening

    def _anew(self) -> SessionRequest:
        """What opens the same session from its beginning: with the very model version that it had."""
        request = SessionRequest()
        request.CopyFrom(self._opening)
        request.open.model.CopyFrom(ModelSelector(name=self.model.name, version=self.model.version))
        return request

    def _check_not_writing(self) -> None:
        if self._writing:
            raise NotPossible(
                "the session is still writing: read the tokens of generate() to the end, or cancel them"
            )

    def _note_opened(self, answer: SessionResponse) -> Opened:
        opened = answer.opened
        expect(answer, "opened")
        self.session_id = opened.session_id
        self.model = replies.model_version(opened.model)
        self.durability = replies.durability(opened.durability)
        self.ttl_s = opened.ttl.ToTimedelta().total_seconds()
        self._held_before = True
        return opened

    def _note_positions(self, message: Opened | Output | Rewound | Closed) -> tuple[int, int]:
        self.input_position, self.output_position = message.input_position, message.output_position
        return self.input_position, self.output_position

    def _within(self, timeout: float | None) -> float | None:
        return self._default_timeout if timeout is None else timeout


def expect(answer: SessionResponse, kind: str) -> None:
    came = answer.WhichOneof("response")
    if came != kind:
        raise ServerFailed(f"the server answered {came or 'something this client does not know'}, not {kind}")


def check_stays(answer: SessionResponse) -> SessionResponse:
    """Return the answer; raise what the last message of a stream means."""
    kind = answer.WhichOneof("response")
    if kind == "moved":
        reason = replies.moved_reason(answer.moved.reason)
        raised = SessionBusy if reason == "claimed" else Unavailable
        message = answer.moved.message or f"the session goes on elsewhere ({reason})"
        raise raised(message, Details(reason=f"MOVED_{reason.upper()}"))
    if kind == "evicted":
        reason = replies.evicted_reason(answer.evicted.reason)
        message = answer.evicted.message or f"the server has ended the session ({reason})"
        raise SessionLost(message, Details(reason=f"EVICTED_{reason.upper()}"))
    return answer
