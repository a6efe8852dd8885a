"""The page for Prometheus: locked as the port of the calls is, and not lost for long."""

import errno
import gzip
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.api import page as page_module
from service.api.door import Door
from service.api.page import MetricsPage
from service.api.tls import Certificates
from service.config import Settings
from service.metrics import Metrics
from tests.fakes.authority import Authority
from tests.fakes.key_file import KeyFile
from tests.fakes.ports import free_port
from tests.fakes.waiting import wait_until

COUNTED = 'seqserve_requests_total{code="OK",method="Translate"} 1.0'


class Page:
    """A page of the settings, and readers of it."""

    def __init__(self, *, open_metrics: bool = False, **pieces: Any) -> None:
        settings = Settings.load(flags=pieces, environment={})
        self.metrics = Metrics()
        self.metrics.requests.labels("Translate", "OK").inc()
        self.port = free_port()
        self.tls = Certificates(settings.tls) if settings.tls.cert_file else None
        locks = () if open_metrics else (self.tls, Door(settings, self.metrics).shows_metrics)
        self.page = MetricsPage("127.0.0.1", self.port, self.metrics.registry, *locks)

    def read(
        self,
        trust: Path | None = None,
        pair: tuple[Path, Path] | None = None,
        *,
        shown: str | None = None,
        packed: bool = False,
    ) -> str:
        """`shown` is the header `authorization`."""
        headers = {} if shown is None else {"Authorization": shown}
        headers |= {"Accept-Encoding": "gzip"} if packed else {}
        context = None
        if trust:
            context = ssl.create_default_context(cafile=str(trust))
            if pair:
                context.load_cert_chain(*pair)
        asked = urllib.request.Request(
            f"http{'s' if trust else ''}://127.0.0.1:{self.port}/metrics", headers=headers
        )
        with urllib.request.urlopen(asked, timeout=20, context=context) as answer:
            told: bytes = answer.read()
        return told.decode("latin-1")

    def refused(self, trust: Path, shown: str | None = None) -> int:
        with pytest.raises(urllib.error.HTTPError) as error:
            self.read(trust, shown=shown)
        with error.value:
            return error.value.code


@contextmanager
def shown(**pieces: Any) -> Iterator[Page]:
    page = Page(**pieces)
    try:
        yield page
    finally:
        page.page.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def tls_of(authority: Authority, **more: str) -> dict[str, str]:
    cert, key = authority.issue("server")
    return {"cert_file": str(cert), "key_file": str(key), **more}


def test_the_page_is_for_everybody_where_the_port_is() -> None:
    with shown() as page:
        assert COUNTED in page.read()
        packed = page.read(packed=True).encode("latin-1")
        assert COUNTED in gzip.decompress(packed).decode()
        assert COUNTED in page.read(shown="Basic abc"), "what nobody asked for is not looked at"


def test_it_speaks_tls_where_the_port_does_and_shows_a_new_certificate(authority: Authority) -> None:
    with shown(tls=tls_of(authority)) as page:
        assert COUNTED in page.read(authority.file)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            page.read()
        before = ssl.get_server_certificate(("127.0.0.1", page.port))
        authority.issue("server")
        assert COUNTED in page.read(authority.file)
        assert ssl.get_server_certificate(("127.0.0.1", page.port)) != before


def test_certificates_that_are_damaged_are_left_alone(authority: Authority) -> None:
    with shown(tls=tls_of(authority)) as page:
        assert page.tls
        (authority.file.parent / "server.crt").write_text("damaged")
        assert "holds no certificate" in page.tls.trouble()
        assert COUNTED in page.read(authority.file)
        authority.issue("server")
        assert page.tls.trouble() == ""
        assert page.tls.changed() is not None, "gRPC still hears of what was taken up by others"
        assert page.tls.changed() is None


def test_whoever_reads_it_shows_credentials_where_callers_do(tmp_path: Path, authority: Authority) -> None:
    keys = KeyFile(tmp_path / "access.keys")
    key = keys.add("prometheus")
    with shown(tls=tls_of(authority), auth=keys.settings()) as page:
        assert COUNTED in page.read(authority.file, shown=f"Bearer {key}")
        assert page.refused(authority.file) == 401
        assert page.refused(authority.file, shown=f"Bearer {key[:-1]}x") == 401
        assert page.refused(authority.file, shown=key) == 401
        refusals = page.metrics.registry.get_sample_value("seqserve_auth_refused_total", {"why": "missing"})
        assert refusals == 1


def test_a_certificate_is_enough_where_callers_have_one(authority: Authority) -> None:
    with shown(tls=tls_of(authority, client_ca_file=str(authority.file))) as page:
        assert COUNTED in page.read(authority.file, authority.issue("prometheus"))
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            page.read(authority.file)


def test_strangers_read_it_where_a_setting_says_so(tmp_path: Path, authority: Authority) -> None:
    keys = KeyFile(tmp_path / "access.keys")
    with shown(auth=keys.settings(), server={"allow_anonymous": True}) as page:
        assert COUNTED in page.read()
    with shown(tls=tls_of(authority), auth=keys.settings(), open_metrics=True) as page:
        assert COUNTED in page.read()


def test_readers_who_say_nothing_hold_up_nobody_else_until_they_are_too_many(authority: Authority) -> None:
    with shown(tls=tls_of(authority)) as page:
        silent = [
            socket.create_connection(("127.0.0.1", page.port)) for _ in range(page_module.MAX_READERS - 1)
        ]
        assert COUNTED in page.read(authority.file)
        wait_until(lambda: page.page._server._places._value == 1)  # a reader's place is free when he has gone
        silent.append(socket.create_connection(("127.0.0.1", page.port)))
        late = socket.create_connection(("127.0.0.1", page.port))
        late.settimeout(20)
        assert late.recv(1) == b"", "further ones are closed at once"
        for one in (*silent, late):
            one.close()
        until_read(page, authority.file)


def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "PATIENCE_S", 0.2)
    with shown() as page, socket.create_connection(("127.0.0.1", page.port)) as silent:
        silent.settimeout(20)
        assert silent.recv(1) == b""


def test_a_page_that_is_lost_is_opened_again() -> None:
    with shown() as page:
        assert page.page.trouble() == ""
        page.page._server.shutdown()
        page.page._thread.join()
        with socket.create_server(("127.0.0.1", page.port)):
            assert "nobody listens" in page.page.trouble(), "the port is somebody else's for now"
        assert page.page.trouble() == ""
        assert COUNTED in page.read()


def test_a_connection_that_cannot_be_taken_up_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with shown() as page:
        listening = page.page._server.socket

        class OutOfHandles:
            def accept(self) -> Any:
                raise OSError(errno.EMFILE, "Too many open files")

        page.page._server.socket = OutOfHandles()  # type: ignore[assignment]
        with pytest.raises(OSError, match="Too many open files"):
            page.page._server.get_request()
        page.page._server.socket = listening
        assert COUNTED in page.read()


def until_read(page: Page, trust: Path) -> None:
    for _ in range(200):
        try:
            assert COUNTED in page.read(trust)
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail("the page is not shown again")


def test_without_threads_a_reader_is_hung_up_on_and_the_next_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with shown() as page:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", none_left)
            for _ in range(2 * page_module.MAX_READERS):
                with socket.create_connection(("127.0.0.1", page.port)) as reader:
                    reader.settimeout(20)
                    assert reader.recv(1) == b""
        assert page.page.trouble() == ""
        assert COUNTED in page.read()
