"""Generates the Python wire code beside the protos, or checks that what is committed is up to date.

python protos/generate.py            writes seqserve/**/*_pb2{,_grpc}.py{,i}
python protos/generate.py --check    changes nothing; fails and names the files that differ

Needs only the standard library: the pinned tools get an environment of their own, made on first use.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
REQUIREMENTS = PROTOS / "requirements.txt"
TOOLS = PROTOS.parent / "build" / "protoc"
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if arguments:
            return report(stale(fresh))
        replace(fresh)
    return 0


def generate(into: Path) -> None:
    sources = sorted(PROTOS.glob("seqserve/**/*.proto"))
    with_services = [source for source in sources if "\nservice " in source.read_text(encoding="utf-8")]
    protoc(sources, f"--python_out={into}", f"--mypy_out=quiet:{into}")
    protoc(
        with_services,
        f"--grpc_python_out={into}",
        f"--mypy_grpc_out=quiet,generate_concrete_servicer_stubs:{into}",
    )


def protoc(sources: list[Path], *options: str) -> None:
    if sources:
        bin_folder = tools()
        plugins = [f"--plugin={name}={bin_folder / name}" for name in PLUGINS]
        command = [str(bin_folder / "python"), "-m", "grpc_tools.protoc", f"-I{PROTOS}"]
        subprocess.run([*command, *plugins, *options, *map(str, sources)], check=True)


def tools() -> Path:
    """The tools' bin folder; the environment is made anew when the requirements or the interpreter change."""
    stamp = TOOLS / "stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(TOOLS, clear=True, with_pip=True)
        install = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return TOOLS / "bin"


def stale(fresh: Path) -> list[str]:
    """Files that differ from what the protos say: changed, missing, or left over from a lost proto."""
    expected = {path.relative_to(fresh): path.read_bytes() for path in generated(fresh)}
    present = {path.relative_to(PROTOS): path.read_bytes() for path in generated(PROTOS)}
    names = expected.keys() | present.keys()
    return sorted(str(name) for name in names if expected.get(name) != present.get(name))


def report(names: list[str]) -> int:
    for name in names:
        print(f"protos/{name} is not what the protos say; run: make protos", file=sys.stderr)
    return 1 if names else 0


def replace(fresh: Path) -> None:
    for path in list(generated(PROTOS)):
        path.unlink()
    for path in generated(fresh):
        shutil.copyfile(path, PROTOS / path.relative_to(fresh))


def generated(root: Path) -> Iterator[Path]:
    for pattern in PATTERNS:
        yield from (root / "seqserve").glob(f"**/{pattern}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
