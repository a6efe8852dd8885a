"""The proxies of `deploy/`: their very configurations, with the addresses of this test."""

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.system.replicas.processes import ROOT, Replica, Running

LOCAL_NGINX = """\\1
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
"""
"""Where a user who is not root may write."""


class Proxy(Running):
    """Stands before three replicas."""

    file: str
    """Of `deploy/`."""
    listening: tuple[str, str]
    """A pattern of where it listens, and what stands there here."""

    def __init__(self, folder: Path, replicas: Sequence[Replica]) -> None:
        super().__init__(Path(self.file).stem, folder)
        text = (ROOT / "deploy" / self.file).read_text()
        for number, replica in enumerate(replicas):
            text = _replaced(
                rf"\bseqserve-{number}\b(:|, port_value: )50051", rf"127.0.0.1\g<1>{replica.port}", text
            )
        pattern, here = self.listening
        (folder / self.file).write_text(self.localized(_replaced(pattern, here.format(port=self.port), text)))

    def localized(self, text: str) -> str:
        return text

    @staticmethod
    def program() -> str | None:
        """Where the proxy is on this machine; None where it is not."""
        raise NotImplementedError


class Nginx(Proxy):
    file = "nginx.conf"
    listening = (r"listen 50051 http2", "listen 127.0.0.1:{port} http2")

    def localized(self, text: str) -> str:
        return _replaced(r"^(http \{)$", LOCAL_NGINX, text)

    @staticmethod
    def program() -> str | None:
        return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")

    def command(self) -> Sequence[str]:
        here = "daemon off; pid nginx.pid; worker_processes 1;"
        return (
            self.program() or "nginx",
            "-p",
            str(self._folder),
            "-c",
            self.file,
            "-e",
            "errors.log",
            "-g",
            here,
        )

    def kill(self) -> None:
        """A killed master would leave its worker behind."""
        if self.is_running:
            self.end()


class Envoy(Proxy):
    file = "envoy.yaml"
    listening = (r"address: 0\.0\.0\.0, port_value: 50051", "address: 127.0.0.1, port_value: {port}")

    @staticmethod
    def program() -> str | None:
        return shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")

    def command(self) -> Sequence[str]:
        quiet = ("--log-level", "warning", "--disable-hot-restart", "--concurrency", "1")
        return (self.program() or "envoy", "-c", self.file, *quiet)


def _replaced(pattern: str, by: str, text: str) -> str:
    """The text with what matches replaced, which has to be there once."""
    replaced, count = re.subn(pattern, by, text, flags=re.MULTILINE)
    assert count == 1, f"{pattern} matches {count} times"
    return replaced
