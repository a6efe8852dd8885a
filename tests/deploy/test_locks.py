"""What images install is written down exactly, and a file that no longer fits pyproject.toml is noticed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The parts of a checkout that locks are made of."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def check(checkout: Path) -> tuple[int, str]:
    script = checkout / "requirements" / "lock.py"
    answer = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    return answer.returncode, answer.stdout


def change(file: Path, pattern: str, by: str) -> None:
    text, count = re.subn(pattern, by, file.read_text(), flags=re.MULTILINE)
    assert count
    file.write_text(text)


def test_the_locks_fit_what_the_project_asks_for(checkout: Path) -> None:
    assert check(checkout) == (0, "")


def test_a_requirement_that_was_raised_is_noticed(checkout: Path) -> None:
    change(checkout / "pyproject.toml", r'"numpy>=[\d.]+"', '"numpy>=99"')
    code, told = check(checkout)
    assert code == 1
    assert re.search(r"numpy is [\d.]+, not >=99; run `make lock`", told)


def test_a_requirement_that_was_added_is_noticed(checkout: Path) -> None:
    change(checkout / "pyproject.toml", r'^redis = \["', 'redis = ["hiredis>=3", "')
    code, told = check(checkout)
    assert code == 1
    assert "requirements/serve.txt: hiredis is missing; run `make lock`" in told


def test_a_pin_without_a_hash_is_noticed(checkout: Path) -> None:
    change(checkout / "requirements" / "serve.txt", r"^(rich==\S+)( \\\n    --hash=\S+)+$", r"\1")
    assert check(checkout) == (1, "requirements/serve.txt: rich has no hash; run `make lock`\n")


def test_the_locks_name_no_index_and_hold_nothing_that_serving_leaves_out() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text
        assert not re.search(r"^(torch|onnx|huggingface-hub)==", text, re.MULTILINE)
