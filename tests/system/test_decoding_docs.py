"""Every line of docs/decoding.md, against a small translator that the exporter made of random weights."""

import re
import subprocess
import sys

import pytest

from service.client import Client
from tests.service.cli.process import ROOT, Process
from tests.system.conftest import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = (ROOT / "docs" / "decoding.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
LINES = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
PROTO = (ROOT / "protos/seqserve/v1/decoding.proto").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_page_answers(line: str, running: Running) -> None:
    command = line.replace("seqserve", f"{sys.executable} -m service", 1)
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=Process(running.address).environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_python_of_the_page_runs(code: str, client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    exec(code, {"client": client})
    assert capsys.readouterr().out


def test_the_page_names_every_option() -> None:
    [message] = re.findall(r"^message DecodingOptions \{(.+?)^\}", PROTO, re.MULTILINE | re.DOTALL)
    fields = re.findall(r"^  (?:optional|repeated) \w+ (\w+) = \d+;", message, re.MULTILINE)
    assert len(fields) == 17
    assert [field for field in fields if f"`{field}`" not in PAGE] == []
