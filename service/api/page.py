"""The page for Prometheus: on a port of its own, and locked as the other one is.

Where the port of the calls speaks TLS, the page does, with the same certificate; where callers have to show who they
are, so has whoever reads the page: by the header `authorization: Bearer …`, or by a certificate.
"""

import gzip
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from service.api.tls import Certificates

MAX_READERS = 16
"""Connections at once; further ones are closed at once."""
PATIENCE_S = 10.0
"""How long a reader may take to greet, to ask, and to take the page."""
PAUSE_S = 0.1
"""After a connection that could not be taken up, so that a process out of file handles does not turn on the spot."""

Admits = Callable[[str | None], bool]
"""The header `authorization`, or None without one → whether the page is shown."""

log = structlog.get_logger("seqserve.page")


class MetricsPage:
    """Serves from threads of its own; when it is lost, `revive` opens it again."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        tls: Certificates | None = None,
        admits: Admits = lambda shown: True,
    ) -> None:
        """Listen; OSError where the port cannot be had."""
        self._address = host, port
        self._settings = registry, tls, admits
        if tls is not None:
            tls.context()  # from files that are known to be good now
        self._open()

    def trouble(self) -> str:
        """Why the page is not there; empty where it is."""
        if not self._thread.is_alive():
            self._revive()
        return "" if self._thread.is_alive() else f"nobody listens on {self._address[0]}:{self._address[1]}"

    def close(self) -> None:
        """Serve no more. Blocks."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _open(self) -> None:
        self._server = _Server(self._address, *self._settings)
        self._thread = threading.Thread(target=self._serve, args=(self._server,), name="metrics", daemon=True)
        self._thread.start()

    def _serve(self, server: "_Server") -> None:
        try:
            server.serve_forever()
        except Exception:  # the thread ends, which `trouble` sees
            log.exception("the metrics page is lost")
        finally:
            server.socket.close()

    def _revive(self) -> None:
        try:
            self._open()
        except OSError as error:
            log.warning("the metrics page cannot be opened", why=str(error))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, address: tuple[str, int], registry: CollectorRegistry, tls: Certificates | None, admits: Admits
    ) -> None:
        self.registry, self.admits = registry, admits
        self._tls = tls
        self._places = threading.BoundedSemaphore(MAX_READERS)
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(PAUSE_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread can be begun
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """On the connection's own thread: whoever does not end his greeting holds up nobody else."""
        request.settimeout(PATIENCE_S)
        if self._tls is not None:
            request = self._tls.context().wrap_socket(request, server_side=True)
        try:
            super().finish_request(request, client_address)
        finally:
            if self._tls is not None:
                self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Readers come and go; none of it is worth a line but where somebody looks for it."""
        log.debug("a reader of the metrics was not served", why=repr(sys.exception()))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "seqserve", ""

    def do_GET(self) -> None:
        if not self.server.admits(self.headers.get("authorization")):
            self._answer(
                401, b"credentials are expected: authorization: Bearer ...\n", ("www-authenticate", "Bearer")
            )
            return
        encode, kind = choose_encoder(self.headers.get("accept", ""))
        page = encode(self.server.registry)
        if "gzip" in self.headers.get("accept-encoding", ""):
            self._answer(200, gzip.compress(page, 1), ("content-type", kind), ("content-encoding", "gzip"))
        else:
            self._answer(200, page, ("content-type", kind))

    def log_message(self, format: str, *args: object) -> None:
        """Each scrape would be a line."""

    def _answer(self, code: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(code)
        for header in (*headers, ("content-length", str(len(body)))):
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)
