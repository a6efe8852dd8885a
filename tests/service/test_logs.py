import json
import sys

import pytest
import structlog

from service import logs


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger().info("started", address="127.0.0.1:1", name="Ñ")
    structlog.get_logger().debug("not this")
    [line] = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert (written["event"], written["level"], written["name"]) == ("started", "info", "Ñ")
    assert written["timestamp"].endswith("Z")


def test_tracebacks_show_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    for format in ("json", "console"):
        logs.configure("info", format)
        try:
            written_by_a_user = "text of a user"
            raise ValueError(len(written_by_a_user))
        except ValueError:
            structlog.get_logger().exception("failed")
        written = capsys.readouterr().err
        assert "ValueError: 14" in written
        assert "text of a" + " user\n" not in written
        assert "locals" not in written


class Broken:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> None:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "No space left"), ValueError("closed file")]
)
def test_a_log_that_cannot_be_written_harms_nobody(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure("info", "json")
    monkeypatch.setattr(sys, "stderr", Broken(error))
    structlog.get_logger().info("started")


def test_texts_are_shown_at_level_debug_only_and_only_where_that_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "shows_texts", False)
    logs.configure("debug", "json")
    assert not logs.shows_texts
    logs.configure("info", "json", texts=True)
    assert not logs.shows_texts
    logs.configure("debug", "json", texts=True)
    assert logs.shows_texts


def test_of_a_sessions_id_only_the_end_is_shown() -> None:
    shown = logs.tail_of("mine.0123456789abcdefABCDEFGH")
    assert shown == "…ABCDEFGH"
