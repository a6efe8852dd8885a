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


def has_avx512() -> bool:
    """Whether the processor has all of AVX-512 that libraries mean by the name."""
    return {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= set(
        _cpuinfo().get("flags", "").split()
    )


def _processor() -> str:
    flags = set(_cpuinfo().get("flags", "").split())
    able = [name for flag, name in FLAGS.items() if flag in flags]
    return f"{_cpuinfo().get('model name', platform.machine())} ({', '.join(able[:2])})"


@cache
def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    found = [line.split(":", 1) for line in reversed(lines) if ":" in line]
    return {key.strip(): value.strip() for key, value in found}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
