"""The processor, and how many cores, how much memory and how many open files there are for what is set."""

import os
import platform
import re
import resource
from collections.abc import Iterator
from pathlib import Path

from service.cgroup import Quota, num_cores, quota
from service.cli import output
from service.cli.checks.finding import Finding, problem, warning
from service.config import Settings

ABILITIES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "amx_int8": "AMX int8",
    "asimddp": "dot products",
    "i8mm": "int8 matrices",
}
"""What matters to products of eight-bit numbers, by the system's word."""
OWN_FILES = 64
"""Files that a server has open without any client."""


def machine(settings: Settings) -> Iterator[Finding]:
    limits = quota()
    yield cpu()
    yield products()
    yield cores(settings, limits)
    yield memory(settings, limits)
    yield files(settings, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def cpu(told: Path = Path("/proc/cpuinfo")) -> Finding:
    text = told.read_text() if told.exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    able = [word for flag, word in ABILITIES.items() if flags and flag in flags[1].split()]
    model = name[1].strip() if name else platform.machine()
    return Finding(
        "processor",
        f"{model}: {', '.join(able) or 'nothing special'}",
        facts={"model": model, "abilities": able},
    )


def products() -> Finding:
    """Whether eight-bit products are exact as they come."""
    from service.engine.products import products_are_exact

    if products_are_exact():
        return Finding("int8 products", "exact, at full speed", facts={"exact": True})
    return warning(
        "int8 products",
        "not exact as they come; slower ones that are exact are used",
        "answers are right, and int8 models take about twice as long: a processor with VNNI needs no such detour",
        exact=False,
    )


def cores(settings: Settings, limits: Quota) -> Finding:
    there = num_cores()
    usable = min(there, limits.cores or there)
    limited = f", of which the container may use {limits.cores:g}" if usable < there else ""
    text, facts = f"{there}{limited}", {"cores": there, "limit": limits.cores}
    if settings.server.workers > usable:
        return warning(
            "cores",
            f"{text}; server.workers is {settings.server.workers}",
            "set server.workers to auto: more processes than cores wait for each other",
            **facts,
        )
    if settings.engine.threads > usable:
        return warning(
            "cores",
            f"{text}; engine.threads is {settings.engine.threads}",
            f"set engine.threads to {max(1, int(usable))} or less: more threads than cores wait for each other",
            **facts,
        )
    return Finding("cores", text, facts=facts)


def memory(settings: Settings, limits: Quota) -> Finding:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    usable = min(there, limits.memory_bytes or there)
    limited = f", of which the container may use {output.size(usable)}" if usable < there else ""
    asked = settings.sessions.max_memory_bytes
    text = f"{output.size(there)}{limited}; sessions may take {output.size(asked)}"
    facts = {"bytes": there, "limit_bytes": limits.memory_bytes, "sessions_bytes": asked}
    if asked > usable * 3 // 4:
        return warning(
            "memory",
            text,
            f"set sessions.max_memory_bytes to {usable // 2} or less, or give more: the system ends a process that "
            "takes too much",
            **facts,
        )
    return Finding("memory", text, facts=facts)


def files(settings: Settings, limit: int) -> Finding:
    """Open files, of which each connection takes one; a connection may carry many sessions."""
    sessions, facts = settings.sessions.max_sessions, {"limit": limit}
    if limit == resource.RLIM_INFINITY or limit >= sessions + OWN_FILES:
        there = "no limit" if limit == resource.RLIM_INFINITY else f"{limit:,}"
        return Finding("open files", f"{there}: enough for sessions.max_sessions ({sessions:,})", facts=facts)
    advice = f"ulimit -n {sessions + OWN_FILES} where each session has a connection of its own"
    if limit <= OWN_FILES:
        return problem("open files", f"{limit}: not enough for any client", advice, **facts)
    return warning(
        "open files",
        f"{limit:,}: about {limit - OWN_FILES:,} connections; sessions.max_sessions is {sessions:,}",
        f"{advice}, or a smaller sessions.max_sessions",
        **facts,
    )
