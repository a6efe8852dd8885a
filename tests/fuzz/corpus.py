"""The corpus: inputs that reach what others do not, kept in the repository; and every finding, under a name that tells.

tests/fuzz/corpus/TARGET/<hash>           written by the runner
tests/fuzz/corpus/TARGET/found-<what>     written by hand when a finding was mended; never left out
"""

import shutil
from pathlib import Path

from tests.fuzz.target import Target

FOLDER = Path(__file__).parent / "corpus"
FOUND, SEED = "found-", "seed-"
MAX_FILE_BYTES = 4096


def kept(name: str) -> list[Path]:
    """The files of a target."""
    return sorted(path for path in (FOLDER / name).glob("*") if path.is_file())


def write_seeds(target: Target, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / f"{SEED}{number}").write_bytes(seed)


def keep(made: Path, folder: Path) -> None:
    """Take over what libFuzzer kept, as it reached what nothing else did: the seeds are made anew each time."""
    for path in made.iterdir():
        if not path.name.startswith(SEED) and path.stat().st_size <= MAX_FILE_BYTES:
            shutil.copy(path, folder)


def write_words(target: Target, path: Path) -> Path:
    """A dictionary of libFuzzer."""
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    path.write_text("".join(f'"{each}"\n' for each in quoted))
    return path
