"""docs/operations.md says of every call what it means with workers."""

import re
from pathlib import Path
from typing import Any

import pytest

from seqserve.inference import grpc_service_pb2
from seqserve.v1 import model_pb2, multiplex_pb2, sequence_pb2, session_pb2

ROOT = Path(__file__).resolve().parents[3]
DESCRIBED: tuple[Any, ...] = (sequence_pb2, session_pb2, model_pb2, multiplex_pb2, grpc_service_pb2)
NOT_OFFERED = re.compile(r"SharedMemory|TraceSetting|LogSettings")
TOGETHER = re.compile(r"^(Stream|Multi)|^(Summarize|Tag|Generate|Transcribe|Predict|Caption)$")
"""What is said of `Translate`, `Classify` "and all others with one answer", and of `Stream…`."""

METHODS = [
    method.name
    for module in DESCRIBED
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not NOT_OFFERED.search(method.name) and not TOGETHER.search(method.name)
]


@pytest.mark.parametrize("method", METHODS)
def test_the_table_tells_what_a_call_means_with_workers(method: str) -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    section = text.partition("## Workers\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    assert any(f"`{method}`" in row for row in rows)
