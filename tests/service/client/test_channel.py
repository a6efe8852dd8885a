import json
import os
import subprocess
import sys

import pytest

from service.client import InvalidRequest, channel


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("", "127.0.0.1:50051"),
        ("example.org", "example.org:50051"),
        ("example.org:1", "example.org:1"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:2", "[::1]:2"),
        (" localhost ", "localhost:50051"),
        ("unix:/run/seqserve.sock", "unix:/run/seqserve.sock"),
        ("dns:///example.org:1", "dns:///example.org:1"),
    ],
)
def test_an_address_is_completed(address: str, target: str) -> None:
    assert channel.target(address) == target


def test_an_url_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="a host and a port"):
        channel.target("http://example.org:50051")


def test_only_what_nobody_has_begun_is_ever_sent_again() -> None:
    (method,) = json.loads(channel.service_config(4))["methodConfig"][:1]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]
    assert channel.service_config(1) == "{}"


def test_grpc_itself_makes_no_call_for_a_model_again_that_was_turned_away() -> None:
    """The client does, which may hold it back."""
    _, of_work, session = json.loads(channel.service_config(4))["methodConfig"]
    assert of_work["name"] == [{"service": "seqserve.v1.SequenceService"}]
    assert of_work["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert "retryPolicy" not in session


@pytest.mark.parametrize(("address", "proxied"), [("127.0.0.1:1", 0), ("[::1]:1", 0), ("example.org:1", 1)])
def test_a_proxy_is_not_asked_for_this_machine(address: str, proxied: int) -> None:
    assert dict(channel.options([address], 4))["grpc.enable_http_proxy"] == proxied


def test_the_client_needs_neither_numpy_nor_the_server() -> None:
    heavy = "numpy, onnxruntime, tokenizers, pydantic, torch, service.server, service.api, service.step"
    code = f"import service.client, sys; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=here, capture_output=True, text=True, check=True
    )
    assert printed.stdout == "[]\n"
