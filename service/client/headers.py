"""Headers that all calls of a client carry."""

from collections.abc import Callable
from typing import Any

Headers = tuple[tuple[str, str], ...]


def with_headers(channel: Any, headers: Callable[[], Headers]) -> Any:
    """The channel, sync or async, with these headers in each call; they are asked for anew every time."""
    return _Channel(channel, headers)


class _Channel:
    """It makes calls, and nothing else."""

    def __init__(self, channel: Any, headers: Callable[[], Headers]) -> None:
        self._channel = channel
        self._headers = headers

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self._channel.unary_unary(*args, **kwargs), self._headers)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self._channel.unary_stream(*args, **kwargs), self._headers)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self._channel.stream_unary(*args, **kwargs), self._headers)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self._channel.stream_stream(*args, **kwargs), self._headers)


class _Method:
    """One method of such a channel."""

    def __init__(self, method: Any, headers: Callable[[], Headers]) -> None:
        self._method = method
        self._headers = headers

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._method(*args, **self._with_headers(kwargs))

    def future(self, *args: Any, **kwargs: Any) -> Any:
        return self._method.future(*args, **self._with_headers(kwargs))

    def _with_headers(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return kwargs | {"metadata": (*(kwargs.get("metadata") or ()), *self._headers())}
