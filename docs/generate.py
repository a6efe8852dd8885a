"""Writes what the docs can take from the code: the modules into architecture.md, and all of reference.md and api.md.

`python docs/generate.py` writes, `--check` only tells whether anything would change.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from api_page import api_page
from prometheus_client import CollectorRegistry

from service import errors
from service.api.statuses import STATUSES
from service.config import Settings
from service.metrics import Metrics

ROOT = Path(__file__).parent.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"
REFERENCE = ROOT / "docs" / "reference.md"
API = ROOT / "docs" / "api.md"
BEGIN, END = "<!-- modules: written by docs/generate.py -->", "<!-- end of modules -->"

ROOMS = (
    (
        "service/cli",
        "service/client",
        "service/server.py",
        "service/api",
        "service/tasks",
        "service/sessions",
    ),
    ("service/registry.py", "service/scheduler", "service/engine", "service/bundle"),
    (
        "service/parts.py",
        "service/config",
        "service/keyfiles.py",
        "service/metrics.py",
        "service/logs.py",
        "service/spans.py",
        "service/step.py",
        "service/errors.py",
    ),
    ("training/cli.py", "training/evaluate.py", "training/export", "training/fit", "training/models"),
    ("training/modules", "training/data", "training/config"),
)


def main() -> int:
    """Write, or check; 1 when a check finds a difference."""
    wanted = {ARCHITECTURE: architecture(), REFERENCE: reference(), API: api_page()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what the code says; run `make docs`")
        return int(bool(stale))
    for path in stale:
        path.write_text(wanted[path], "utf-8")
    return 0


def architecture() -> str:
    """architecture.md with the modules as they are now."""
    head, rest = ARCHITECTURE.read_text("utf-8").split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{''.join(_modules())}\n{END}{tail}"


def _modules() -> Iterator[str]:
    for room in (room for row in ROOMS for room in row):
        path = ROOT / room
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        for file in files:
            yield from _line(file)


def _line(file: Path) -> Iterator[str]:
    doc = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    name = str(file.relative_to(ROOT)).removesuffix("/__init__.py")
    indent = "" if file.name == "__init__.py" or file.parent.name in ("service", "training") else "  "
    yield f"{indent}- `{name}` — {doc.splitlines()[0]}\n"


def reference() -> str:
    """Settings, errors and metrics."""
    return "\n".join(
        [
            "# Reference\n\nWritten by `make docs` from the code.\n",
            "## Settings\n",
            "Defaults < `--config` TOML file (a table per piece) < environment < flags. The setting `port` of the",
            "piece `server` is `[server] port` in the file and `SEQSERVE_SERVER__PORT` in the environment.\n",
            *_settings(),
            "\n## Errors\n",
            "| error | gRPC status | ErrorInfo.reason | when |\n|---|---|---|---|",
            *_errors(),
            "\n## Metrics\n",
            "On `server.metrics_port`, for Prometheus.\n",
            "| metric | kind | labels | what |\n|---|---|---|---|",
            *_metrics(),
            "",
        ]
    )


def _settings() -> Iterator[str]:
    for piece, field in Settings.model_fields.items():
        kind = type(field.default)
        yield f"### {piece}\n\n{inspect.getdoc(kind)}\n\n| setting | default | |\n|---|---|---|"
        told = _docstrings(kind)
        for name, setting in kind.model_fields.items():
            yield f"| `{name}` | `{setting.default}` | {told[name]} |"
        yield ""


def _docstrings(kind: type) -> dict[str, str]:
    """The string under each field of a class."""
    [body] = [node.body for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef)]
    return {
        field.target.id: " ".join(str(told.value.value).split())
        for field, told in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(told, ast.Expr) and isinstance(told.value, ast.Constant)
    }


def _errors() -> Iterator[str]:
    for kind, status in STATUSES.items():
        first = (inspect.getdoc(kind) or "").splitlines()[0]
        yield f"| `{kind.__name__}` | {status.name} | `{kind.reason}` | {first} |"
    assert set(STATUSES) == {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SeqserveError)
    }


def _metrics() -> Iterator[str]:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for metric in vars(metrics).values():
        if metric is registry:
            continue
        [family] = metric.describe()
        labels = ", ".join(metric._labelnames)  # the library has no public way to ask
        yield f"| `{family.name}` | {family.type} | {labels} | {family.documentation} |"


if __name__ == "__main__":
    sys.exit(main())
