"""The machine that figures come from, in a line."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FLAGS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}
"""What /proc/cpuinfo calls what matters for products of bytes."""
PACKAGES = "onnxruntime", "grpcio", "protobuf", "numpy"


@cache
def describe() -> str:
    """Processor, cores, system, and the versions of what does the work."""
    parts = [f"{_processor()}, {os.cpu_count()} cores", f"Python {platform.python_version()}"]
    return "; ".join([*parts, *(f"{name} {_version(name)}" for name in PACKAGES)])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    values = {key.strip(): value.strip() for key, value in found.items()}
    flags = set(values.get("flags", "").split())
    able = [name for flag, name in FLAGS.items() if flag in flags]
    return f"{values.get('model name', platform.machine())} ({', '.join(able[:2])})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
