"""A body that is written while it is sent, for servers that pull it from an iterator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from remote_data_loader_backend._writer import AnyMessage, BodyOptions, BodyWriter

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from remote_data_loader_backend._channels import ChannelSet


def body(channels: ChannelSet, messages: Iterable[AnyMessage], **options: Unpack[BodyOptions]) -> Body:
    """The body of a streamed source, a piece of about a chunk at a time, for servers that send what
    an iterator gives.

    Whoever sends it pulls the messages: while the loader is slow, none are asked for. An exception
    of `messages`, or a message that is refused, comes out of the iterator in place of the end; a
    server that aborts the connection then, as all servers do that send chunked bodies right, shows
    the loader that the body is not whole.

    :param messages: :class:`Message` objects or plain tuples, in ascending log time. A generator is
        closed with the body.
    :param options: :class:`BodyOptions`.

    >>> channels = ChannelSet()
    >>> log = channels.add("/log", MessageType.schemaless_json())
    >>> pieces = body(channels, ((log, second * 1_000_000_000, b"{}") for second in range(10)))
    >>> mcap = b"".join(pieces)
    """
    return Body(BodyWriter(channels, **options), messages)


class Body(Iterator[bytes]):
    """What :func:`body` gives: an iterator over the pieces. It ends only when the body is complete;
    one that failed, or was closed, raises at every further step."""

    __slots__ = ("_messages", "_writer")

    def __init__(self, writer: BodyWriter, messages: Iterable[AnyMessage]) -> None:
        self._writer = writer
        self._messages = iter(messages)

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        try:
            piece = self._writer._fill(self._messages)
        except BaseException:
            self.close()
            raise
        if piece is None:
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        """Ends the work: closes `messages`, where they can be closed. A body that was not complete
        never will be."""
        self._writer._close()
        close = getattr(self._messages, "close", None)
        if close is not None:
            close()
