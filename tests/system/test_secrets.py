"""No secret is told: not in the log, in errors, in metrics, in the list of processes, nor by the doctor."""

import base64
import json
import os
import shutil
import ssl
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from seqserve.v1 import model_pb2, session_pb2
from seqserve.v1.model_pb2_grpc import ModelServiceStub
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from service.api.access_keys import AccessKey, new_key, to_toml
from tests.fakes.authority import Authority
from tests.fakes.issuer import Issuer
from tests.fakes.ports import free_port
from tests.service.cli.process import ROOT, Process

SEALING_KEY = base64.b64encode(os.urandom(32)).decode()
PASSWORD = "hunter2-of-the-store"
TEXT = "zwölf Boxkämpfer jagen Viktor"


class Secrets:
    """All that must not be told, by what it is."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "tls")
        self.cert, self.key = self.authority.issue("server")
        self.issuer = Issuer(folder / "jwks.json")
        self.access_key, known = new_key("alice", admin=False, expires=None, now=datetime.now(UTC))
        self.file = folder / "access.keys"
        self.file.touch(mode=0o600)
        self.file.write_text(to_toml([known]))
        self.token = self.issuer.token("bob")
        self.wrong = [
            self.issuer.token("bob", exp=1),
            "sqk_abcdefgh_" + "S3" * 21 + "x",
            "wrong-token-of-mallory",
        ]
        self._known: AccessKey = known

    def all(self) -> dict[str, str]:
        pem = "".join(self.key.read_text().splitlines()[1:-1])
        return {
            "access key": self.access_key.split("_", 2)[2],
            "hash of the access key": self._known.sha256,
            "token": self.token,
            "signature of the token": self.token.rpartition(".")[2],
            "TLS key": pem[20:60],
            "sealing key": SEALING_KEY,
            "password": PASSWORD,
            "what a user wrote": TEXT,
            **{f"wrong credentials {number}": wrong for number, wrong in enumerate(self.wrong)},
        }

    def environment(self) -> dict[str, str]:
        return {
            "SEQSERVE_KEYS__SNAPSHOT_KEYS": f"k1:{SEALING_KEY}",
            "SEQSERVE_STORE__URL": f"redis://user:{PASSWORD}@127.0.0.1:1/0",
            "SEQSERVE_AUTH__JWKS_FILE": str(self.issuer.file),
            "SEQSERVE_AUTH__JWT_ISSUER": "https://issuer.test",
            "SEQSERVE_AUTH__JWT_AUDIENCE": "seqserve",
            "SEQSERVE_AUTH__RELOAD_S": "0.1",
            "SEQSERVE_LOG__LEVEL": "debug",
        }

    def flags(self, metrics_port: int = 0) -> tuple[str, ...]:
        return (
            *("--tls-cert", str(self.cert), "--tls-key", str(self.key), "--access-keys", str(self.file)),
            *("--metrics-port", str(metrics_port)),
        )


def check(where: str, told: str, secrets: Secrets) -> None:
    for what, secret in secrets.all().items():
        assert secret not in told, f"{what} stands in {where}"


def provoke(address: str, secrets: Secrets) -> str:
    """Calls that go well and calls that do not, with all the secrets there are; what they were answered."""
    told = []
    credentials = grpc.ssl_channel_credentials(secrets.authority.pem)
    with grpc.secure_channel(address, credentials) as channel:
        for shown in (secrets.access_key, secrets.token, *secrets.wrong):
            metadata = (("authorization", f"Bearer {shown}"),)
            stub = ModelServiceStub(channel)
            unknown: Any = 99
            for request in (model_pb2.ListModelsRequest(task=unknown), model_pb2.ListModelsRequest()):
                try:
                    stub.ListModels(request, metadata=metadata)
                except grpc.RpcError as error:
                    told.append(str(error))
            feeds = [
                session_pb2.SessionRequest(open=session_pb2.Open(model=model_pb2.ModelSelector())),
                session_pb2.SessionRequest(feed=session_pb2.Feed(text=TEXT), turn=0),
                session_pb2.SessionRequest(feed=session_pb2.Feed(text=TEXT), turn=99),
            ]
            try:
                list(SequenceServiceStub(channel).Session(iter(feeds), metadata=metadata))
            except grpc.RpcError as error:
                told.append(str(error))
    assert len(told) > len(secrets.wrong)
    return "\n".join(told)


@pytest.mark.slow
def test_no_secret_is_told_anywhere(tmp_path: Path) -> None:
    secrets, metrics_port = Secrets(tmp_path), free_port()
    shutil.copytree(ROOT / "models" / "snips-intents", tmp_path / "models" / "snips-intents")
    process = Process()
    process.environment |= secrets.environment() | {"SEQSERVE_STORE__KIND": "redis"}
    arguments = ("--models", str(tmp_path / "models"), "--port", "0", *secrets.flags(metrics_port))
    with (tmp_path / "log").open("wb") as log:
        server = process.start("serve", *arguments, "--log-format", "json", stderr=log.fileno())
        try:
            address = started(tmp_path / "log")
            answers = provoke(address, secrets)
            secrets.file.write_text("[[key]]\nsha256 = 7\n")  # what it says of a file that is damaged
            for _ in range(100):  # files are looked at now and then
                provoke(address, secrets)
                if "left alone" in (tmp_path / "log").read_text():
                    break
                time.sleep(0.1)
            check("the metrics", metrics_of(metrics_port, secrets), secrets)
            check("the list of processes", Path(f"/proc/{server.pid}/cmdline").read_text(), secrets)
        finally:
            server.terminate()
            out, _ = server.communicate(timeout=60)
    told = (tmp_path / "log").read_text()
    assert "left alone" in told
    check("the log", told + out.decode(), secrets)
    check("the errors", answers, secrets)


def metrics_of(port: int, secrets: Secrets) -> str:
    """The page, which is locked as the port is."""
    asked = urllib.request.Request(
        f"https://127.0.0.1:{port}", headers={"Authorization": f"Bearer {secrets.token}"}
    )
    trust = ssl.create_default_context(cadata=secrets.authority.pem.decode())
    with urllib.request.urlopen(asked, context=trust) as page:
        told: str = page.read().decode()
    return told


def started(log: Path) -> str:
    for _ in range(600):
        for line in log.read_text().splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if said.get("event") == "started":
                return str(said["address"])
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.mark.slow
def test_the_doctor_tells_none_either(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    process = Process()
    process.environment |= secrets.environment() | {"SEQSERVE_STORE__KIND": "redis"}
    (tmp_path / "models").mkdir()
    for more in ((), ("--json",)):
        ran = process("doctor", "--models", str(tmp_path / "models"), "--port", "0", *more)
        assert "store" in ran.out
        check("what the doctor says", ran.out + ran.err, secrets)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEQSERVE_KEYS__SNAPSHOT_KEYS", "k1:TopSecretButNotBase64!"),
        ("SEQSERVE_STORE__URL", "http://user:TopSecret@here"),
    ],
)
def test_a_refused_secret_is_not_shown(tmp_path: Path, name: str, value: str) -> None:
    process = Process()
    process.environment |= {name: value, "SEQSERVE_STORE__KIND": "redis"}
    ran = process("serve", "--models", str(tmp_path), "--port", "0")
    assert ran.code != 0
    assert "TopSecret" not in ran.out + ran.err
