"""The MCAP of a streamed source: messages in, bytes out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Union

from remote_data_loader_backend import _native
from remote_data_loader_backend._native import Channel
from remote_data_loader_backend._times import Time, duration_nanos, end_nanos, start_nanos

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self, Unpack
elif sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    Buffer = Union[bytes, bytearray, memoryview]


class BodyOptions(TypedDict, total=False):
    """How a body is written; all are optional."""

    compression: Literal["lz4", "zstd", "none"]
    """How chunks are compressed. ``lz4``, the default, costs little; ``none`` suits data that is
    compressed already, such as images; ``zstd`` suits thin networks."""
    chunk_bytes: int
    """A chunk closes at this size, uncompressed, in bytes: 1 MiB. Between 256 KiB and 8 MiB the
    loader keeps chunks as they come."""
    chunk_duration: int | timedelta | None
    """A chunk closes before a message that is this much later, in log time, than its first one:
    nanoseconds, or a ``timedelta``. Without, chunks may last."""
    start: Time | None
    """The start that the manifest declares; earlier messages are refused."""
    end: Time | None
    """The end that the manifest declares; later messages are refused."""
    max_message_bytes: int
    """Longer messages are refused: 64 MiB, which is what the loader takes unless it is told
    otherwise."""
    profile: str
    """The profile in the MCAP header: ``ros2``, ``ros1``, or empty."""


class Message(NamedTuple):
    """A message that is to be written. The plain tuples ``(channel, log_time, data)``, ``(channel,
    log_time, data, publish_time)`` and ``(…, sequence)`` are the same, and faster to make."""

    channel: Channel
    """A channel of the body's set."""
    log_time: int
    """When it was logged, in nanoseconds since the Unix epoch: what everything is ordered by."""
    data: Buffer
    """Its content, in the encoding of its channel. ``bytes`` are not copied on the way in."""
    publish_time: int | None = None
    """When it was published; ``None`` is the log time."""
    sequence: int = 0
    """Its sequence number; 0 where there is none."""


AnyMessage = Union[
    "tuple[Channel, int, Buffer]",
    "tuple[Channel, int, Buffer, int | None]",
    "tuple[Channel, int, Buffer, int | None, int]",
]
"""A :class:`Message`, or the plain tuple."""


class BodyWriter(_native.BodyWriter):
    """Writes the body of a streamed source, without I/O.

    Messages come in ascending log time over all channels; messages of one time stay in the order in
    which they came. :meth:`take` hands out what is ready, which is to be sent in order. Memory is
    one chunk, what was not taken, and some 100 bytes for each chunk written.

    The loader trusts a body that ends cleanly to be complete. So a writer that refused something
    cannot be finished: the connection is to be aborted, and the loader asks again. The same calls
    give the same bytes, whenever and wherever, which lets the loader resume a broken connection.

    Other threads run while a chunk is compressed. One writes at a time: a second thread that does
    gets a :class:`BackendError`.

    >>> channels = ChannelSet()
    >>> log = channels.add("/log", MessageType.schemaless_json())
    >>> writer = BodyWriter(channels, compression="zstd")
    >>> writer.write(log, 1_700_000_000_000_000_000, b'{"text": "hello"}')
    >>> writer.finish()
    >>> mcap = b"".join(writer.take())
    """

    def __new__(cls, channels: _native.ChannelSet, **options: Unpack[BodyOptions]) -> Self:
        """A body of these channels; its header can be taken.

        :param options: :class:`BodyOptions`.
        """
        return super().__new__(cls, channels, **_native_options(**options))

    def metadata(self, name: str, metadata: Mapping[str, str]) -> None:
        """Writes a metadata record, behind the messages so far.

        :raises WriteError: if it is too large, or the body failed before.

        After any exception the body has failed: it can no longer be finished.
        """
        with self._or_fail():
            self._metadata(name, dict(metadata))

    def attachment(self, name: str, media_type: str, data: Buffer, log_time: int, create_time: int = 0) -> None:
        """Writes an attachment, behind the messages so far. Times are nanoseconds since the Unix
        epoch; 0 is a create time that is not known.

        :raises WriteError: if it is too large, or the body failed before.

        After any exception the body has failed: it can no longer be finished.
        """
        with self._or_fail():
            self._attachment(name, media_type, data, log_time, create_time)

    @contextmanager
    def _or_fail(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.fail()
            raise


def _native_options(
    compression: str = "lz4",
    chunk_bytes: int = 1 << 20,
    chunk_duration: int | timedelta | None = None,
    start: Time | None = None,
    end: Time | None = None,
    max_message_bytes: int = 64 << 20,
    profile: str = "",
) -> dict[str, Any]:
    return {
        "compression": compression,
        "chunk_bytes": chunk_bytes,
        "chunk_duration": None if chunk_duration is None else duration_nanos(chunk_duration, "chunk_duration"),
        "start": None if start is None else start_nanos(start),
        "end": None if end is None else end_nanos(end),
        "max_message_bytes": max_message_bytes,
        "profile": profile,
    }
