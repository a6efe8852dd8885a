"""Settings: a TOML file, or lines NAME=VALUE as of the environment behind a first line `env`."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from service.config import Settings
from service.errors import ConfigRefused
from tests.fuzz.folders import new_folder, put
from tests.fuzz.target import Target, json_words

ENVIRONMENT = b"env\n"


@cache
def folder() -> Path:
    return new_folder()


def read(data: bytes) -> None:
    if data.startswith(ENVIRONMENT):
        lines = data.decode("utf-8", "surrogateescape").splitlines()[1:]
        environment = {name: value for name, _, value in (line.partition("=") for line in lines)}
        settings = Settings.load(environment=environment)
    else:
        settings = Settings.load(put(folder() / "settings.toml", data), environment={})
    assert 0 <= settings.server.port <= 65535
    repr(settings)


def seeds() -> Iterator[bytes]:
    for piece, field in Settings.model_fields.items():
        names = type(field.default).model_fields
        yield f"[{piece}]\n".encode() + b"".join(f"{name} = 1\n".encode() for name in names)
        yield b"env\n" + b"".join(f"SEQSERVE_{piece.upper()}__{name.upper()}=1\n".encode() for name in names)
    yield b'[auth]\nadmins = ["a", "b"]\n[server]\ngrace_s = 1.5\nadmin = true\n[log]\nlevel = "info"\n'
    yield b"env\nSEQSERVE_AUTH__ADMINS=a,b\nSEQSERVE_SERVER__ADMIN=yes\nSEQSERVE_SERVER__PORT=0\n"


TARGET = Target(
    "settings", read, seeds, refusals=(ConfigRefused,), words=(*json_words(), b"inf", b"nan", b"1979-05-27")
)
