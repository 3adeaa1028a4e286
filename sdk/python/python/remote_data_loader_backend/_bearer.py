"""Who asks: the bearer token of a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Union, runtime_checkable

from remote_data_loader_backend import _native


@runtime_checkable
class _WithItems(Protocol):
    def items(self) -> Iterable[tuple[str, str]]: ...


Headers = Union[_WithItems, Iterable[tuple[str, str]], Iterable[tuple[bytes, bytes]]]
"""The headers of a request as servers have them: anything with ``items()``, or pairs."""


class Bearer(_native.Bearer):
    """The token in a request's ``Authorization: Bearer …`` (RFC 6750, section 2.1).

    The loader sends its user's token to the manifest endpoint and to the sources. The manifest
    endpoint is where access is decided: what it names, the loader may serve from its cache without
    asking again.

    >>> bearer = Bearer.from_headers({"Authorization": "Bearer s3cret"})
    >>> bearer.is_("s3cret"), bearer.is_("s3cre")
    (True, False)
    """

    __slots__ = ()

    @staticmethod
    def from_headers(headers: Headers) -> Bearer:
        """The token of a request with these headers: a mapping, the headers of Starlette, Flask,
        Django, aiohttp or ``http.server``, or the pairs of an ASGI scope.

        :raises NoBearer: if there is none, or more than one. It is an :class:`ErrorReply`.
        """
        pairs: Iterable[tuple[str | bytes, str | bytes]]
        pairs = headers.items() if isinstance(headers, _WithItems) else headers
        values: list[bytes] = []
        for name, value in pairs:
            if _bytes(name).lower() == b"authorization":
                values.append(_bytes(value))
        return Bearer(values)


def _bytes(text: str | bytes) -> bytes:
    # What no header can have is no token either: the native half finds it.
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
