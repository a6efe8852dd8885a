"""Asks whether anything that images install has a known vulnerability, and says plainly what it could not find out.

Exit code: 0, everything was asked about and nothing is known; 1, something is known; 3, not everything could be asked
about, so nothing is known of the rest. `--allow-unreachable` makes 0 of the last, with the same words: for machines
without a network, where the answer cannot be had.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCKS = ("serve", "build")
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3
SERVICES = ("pypi", "osv")
"""Who is asked, one after the other, until one answers for every package."""

Dependencies = Sequence[Mapping[str, Any]]


def main(arguments: Sequence[str]) -> int:
    """Audit every lock; the worst outcome counts."""
    outcomes = {audit(lock) for lock in LOCKS}
    if VULNERABLE in outcomes:
        return VULNERABLE
    if UNKNOWN in outcomes:
        return CLEAN if "--allow-unreachable" in arguments else UNKNOWN
    return CLEAN


def audit(lock: str) -> int:
    """Audit one lock and say what came of it."""
    file, found, why = ROOT / "requirements" / f"{lock}.txt", [], ""
    for service in SERVICES:
        found, why = ask(file, service)
        if found and not unasked(found):
            break
    return tell(file.name, found, why)


def ask(file: Path, service: str) -> tuple[Dependencies, str]:
    """What a service knows of each package; nothing, and why, where it did not answer."""
    options = (
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
        "--vulnerability-service",
        service,
    )
    command = (sys.executable, "-m", "pip_audit", "--requirement", str(file), *options)
    answer = subprocess.run(command, capture_output=True, text=True)
    try:
        found: Dependencies = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return [], f"{service}: {last[:200]}"
    return found, ""


def unasked(found: Dependencies) -> list[str]:
    """Packages that the service did not know at all: that is no good news of them."""
    return [str(one["name"]) for one in found if "skip_reason" in one]


def tell(name: str, found: Dependencies, why: str) -> int:
    vulnerable = [one for one in found if one.get("vulns")]
    for one in vulnerable:
        for known in one["vulns"]:
            fixed = ", ".join(known.get("fix_versions") or ()) or "no version"
            print(f"{name}: {one['name']} {one['version']} has {known['id']}; fixed in {fixed}")
    missing = unasked(found)
    if not found:
        print(f"{name}: NOT AUDITED, nothing is known: nobody answered ({why})")
    elif missing:
        print(
            f"{name}: NOT AUDITED are {len(missing)} of {len(found)} packages, which the index knows nothing of"
        )
    elif not vulnerable:
        print(f"{name}: {len(found)} packages, no known vulnerability")
    return VULNERABLE if vulnerable else UNKNOWN if missing or not found else CLEAN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
