"""Writes what images install as a CycloneDX list of parts (SBOM): `python requirements/sbom.py [FILE]`.

The same locks give the same file, byte for byte.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DEFAULT = ROOT / "build" / "sbom.json"


def main(arguments: list[str]) -> int:
    """Write it; the exit code is that of the tool."""
    target = Path(arguments[0]) if arguments else DEFAULT
    target.parent.mkdir(parents=True, exist_ok=True)
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--mc-type", "application")
    files = ("requirements/serve.txt", "--output-file", str(target.absolute()))
    command = (sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", *options, *files)
    code = subprocess.run(command, cwd=ROOT).returncode
    if code == 0:
        print(target)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
