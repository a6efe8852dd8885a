"""Images that compose.yaml asks for, made of programs that are installed here, where no registry can be reached."""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.docker.engine import BASE, docker, has

OF_THE_BASE = {"libc.so.6", "linux-vdso.so.1"}


@dataclass(frozen=True)
class StandIn:
    """What an image of another project looks like from outside."""

    service: str
    program: str
    entrypoint: str = ""
    folder: str = "/"
    """Which it may write."""

    def make(self, image: str) -> bool:
        """Whether there is an image of that name now."""
        if has(image):
            return True
        program = _found(self.program)
        if program is None:
            return False
        with tempfile.TemporaryDirectory() as context:
            self._write(Path(context), program)
            docker("build", "--quiet", "--tag", image, context)
        return True

    def _write(self, context: Path, program: Path) -> None:
        (context / "lib").mkdir()
        for library in _libraries(program):
            shutil.copy(library, context / "lib")
        shutil.copy(program, context / "program")
        lines = [
            f"FROM {BASE}",
            "COPY lib /opt/lib",
            f"COPY program /usr/local/bin/{self.program}",
            f"RUN mkdir -p {self.folder} && chown 65534:65534 {self.folder}",
            "ENV LD_LIBRARY_PATH=/opt/lib",
            f"WORKDIR {self.folder}",
            "USER 65534:65534",
            f'ENTRYPOINT ["{self.entrypoint}"]' if self.entrypoint else "",
        ]
        (context / "Dockerfile").write_text("\n".join(lines))


STAND_INS = (
    StandIn("redis", "redis-server", folder="/data"),
    StandIn("envoy", "envoy"),
    StandIn("prometheus", "prometheus", entrypoint="prometheus", folder="/prometheus"),
)


def _found(program: str) -> Path | None:
    """The program itself; Envoy's wheel has a script in its place."""
    if program == "envoy":
        found = list(Path(sys.prefix).glob("lib/python3*/site-packages/envoy/**/envoy*"))
        return next((each for each in found if _is_binary(each)), None)
    where = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    return Path(where).resolve() if where else None


def _is_binary(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _libraries(program: Path) -> list[Path]:
    told = subprocess.run(("ldd", str(program)), capture_output=True, text=True).stdout
    found = [Path(each) for each in re.findall(r"=> (/\S+)", told)]
    return [each for each in found if each.name not in OF_THE_BASE]
