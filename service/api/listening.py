"""Where calls come in: the port, and the bounds of the wire."""

from typing import Any

import grpc

from service.api.handlers import Handlers
from service.api.tls import Certificates
from service.config import ServerSettings
from service.errors import ConfigRefused


def options(settings: ServerSettings) -> list[tuple[str, int]]:
    """The arguments of the gRPC server."""
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients may ask for life signs every ten seconds, between calls too, without being sent away.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # A message that is small on the way and large here would go past max_message_bytes: none is taken compressed.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", round(settings.handshake_s * 1000)),
        ("grpc.max_connection_idle_ms", round(settings.max_idle_s * 1000)),
        # Calls that have come and that nobody has looked at. Past it, gRPC itself turns further ones away, in a tenth
        # of the time that a look would take; it can only say CANCELLED.
        ("grpc.server.max_pending_requests", settings.max_pending_calls),
        ("grpc.server.max_pending_requests_hard_limit", settings.max_pending_calls),
        # Two servers on one port would share its calls by chance; workers of one are meant to.
        ("grpc.so_reuseport", int(settings.workers > 1)),
    ]


def bind(server: grpc.aio.Server, settings: ServerSettings, tls: Certificates | None) -> int:
    """Listen; the port is returned. ConfigRefused where it was taken since it was found free."""
    host, port = settings.host, settings.port
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, tls.credentials())
    except RuntimeError as error:
        raise ConfigRefused(f"cannot listen on {host}:{port}: {error}") from None


class Unregistered:
    """A server to which services are added without a queue for each of their methods.

    Then all calls wait in one queue, whose length is bounded, and each is worked on before more come in. With a queue
    for each method, gRPC fetches one from each at a time, and a server that is behind does little but fetch
    (docs/decisions/0027-overload.md).
    """

    def __init__(self, server: grpc.aio.Server, known: Handlers) -> None:
        """`known` learns of all services, too."""
        self._server = server
        self._known = known

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._server.add_generic_rpc_handlers(handlers)
        self._known.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Those that are added generically find the same methods."""
