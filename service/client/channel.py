"""Addresses and channel options: what the sync and the async channel have in common."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc.aio

from service.client.errors import InvalidRequest, NotPossible

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_PORT = 50051
MAX_PORT = 65535
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_ATTEMPTS = 5
"""gRPC makes no more than five."""

MAX_CONNECTIONS = 256

SEQUENCES = {"service": "seqserve.v1.SequenceService"}
SESSION = SEQUENCES | {"method": "Session"}

Options = list[tuple[str, str | int]]


def target(address: str) -> str:
    """Complete an address: `host`, `host:port`, `[::1]:port`, or a gRPC target such as `unix:/run/seqserve.sock`."""
    address = address.strip()
    if address.startswith(("unix:", "dns:", "ipv4:", "ipv6:", "xds:")):
        return address
    if "://" in address:
        raise InvalidRequest(
            f"address {address!r}: a host and a port are expected, such as {DEFAULT_ADDRESS}"
        )
    if not address:
        return DEFAULT_ADDRESS
    has_port = ":" in address.rpartition("]")[2]
    if not has_port:
        return f"{address}:{DEFAULT_PORT}"
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > MAX_PORT:
        raise InvalidRequest(f"address {address!r}: expected HOST:PORT, such as {DEFAULT_ADDRESS}")
    return address


def options(addresses: Sequence[str], max_attempts: int, connections: int = 1) -> Options:
    if not 1 <= connections <= MAX_CONNECTIONS:
        raise InvalidRequest(
            f"connections is {connections}; 1 to {MAX_CONNECTIONS} to each address are possible"
        )
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.enable_http_proxy", int(not all(map(is_local, addresses)))),
        ("grpc.enable_retries", int(max_attempts > 1)),
        ("grpc.service_config", service_config(max_attempts)),
        # Else all channels of a process to one address share one connection.
        ("grpc.use_local_subchannel_pool", int(connections > 1)),
    ]


def service_config(max_attempts: int) -> str:
    """gRPC's own retries: of UNAVAILABLE and of CANCELLED, and only as long as the server has answered nothing at all.

    CANCELLED is what a server's core says to a call that nobody has looked at (`server.max_pending_calls`). Calls that
    give models work are then made again by the client itself, which may hold them back (`service.client.gate`). A call
    of which the first byte of an answer has come is never made again. A session looks for its server itself.
    """
    if not 1 <= max_attempts <= MAX_ATTEMPTS:
        raise InvalidRequest(f"max_attempts is {max_attempts}; 1 (never retry) to {MAX_ATTEMPTS} is possible")
    if max_attempts == 1:
        return "{}"
    policy = {
        "maxAttempts": max_attempts,
        "initialBackoff": "0.2s",
        "maxBackoff": "5s",
        "backoffMultiplier": 2.5,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    }
    of_work = policy | {"retryableStatusCodes": ["UNAVAILABLE"]}
    return json.dumps(
        {
            "methodConfig": [
                {"name": [{}], "retryPolicy": policy},
                {"name": [SEQUENCES], "retryPolicy": of_work},
                {"name": [SESSION]},
            ]
        }
    )


@contextmanager
def open_channel() -> Iterator[None]:
    """Raise what gRPC says of a channel that has been closed as the client's own error."""
    try:
        yield
    except (ValueError, grpc.aio.UsageError):
        raise NotPossible("this client is closed") from None


def is_local(address: str) -> bool:
    """A proxy from the environment is never meant for this machine itself."""
    return address.startswith(("127.", "localhost:", "[::1]", "unix:"))
