"""The native half. Where editors show what a public method does, they read it here; `help()` reads
the same from the Rust code."""

from collections.abc import Iterator
from typing import Any, final

from typing_extensions import Buffer, Self

__all__ = [
    "Bearer",
    "BodyWriter",
    "Channel",
    "ChannelSet",
    "TimeSlices",
    "declared_times",
    "error_reply",
    "message_type",
    "protobuf_schema",
    "source_id",
]

@final
class Channel:
    """A channel of a :class:`ChannelSet`, to write messages with.

    Its id follows from what the channel is (topic, encoding, schema, metadata), so that the channel
    means the same in every set that declares it, in every process. Channels compare equal by id.
    """

    @staticmethod
    def from_id(id: int) -> Channel:
        """The channel of this id. A :class:`BodyWriter` refuses one that its set lacks."""
    @property
    def id(self) -> int:
        """The channel's id in MCAP."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

class ChannelSet:
    def __new__(cls) -> Self: ...
    def _add(
        self, topic: str, encoding: str, schema: tuple[str, str, bytes] | None, metadata: dict[str, str]
    ) -> Channel: ...
    def _channel(self, topic: str) -> Channel | None: ...
    def _topics(self) -> list[tuple[str, str, int | None]]: ...
    def _schemas(self) -> list[tuple[int, str, str, str]]: ...
    def __len__(self) -> int: ...

class BodyWriter:
    def __new__(
        cls,
        channels: ChannelSet,
        compression: str,
        chunk_bytes: int,
        chunk_duration: int | None,
        start: int | None,
        end: int | None,
        max_message_bytes: int,
        profile: str,
    ) -> Self: ...
    def write(
        self, channel: Channel, log_time: int, data: Buffer, publish_time: int | None = None, sequence: int = 0
    ) -> None:
        """Adds a message.

        ``log_time`` and ``publish_time`` are nanoseconds since the Unix epoch; without a
        ``publish_time`` it is the log time. ``data`` is anything like ``bytes``, in the encoding of
        the channel; ``bytes`` themselves are not copied on the way in.

        :raises WriteError: if the message is refused.
        :raises TypeError: if an argument is of the wrong type.
        :raises ValueError: if a number does not fit.

        After any of them the body has failed: it can no longer be finished.
        """
    def flush(self) -> None:
        """Closes the open chunk, so that :meth:`take` gives all that was written: before a query that
        takes long, say. Small chunks cost the loader work.

        :raises WriteError: if the body failed before, or was finished.
        """
    def fail(self) -> None:
        """Makes sure that the body cannot be finished: something that belongs to it is missing."""
    def finish(self) -> None:
        """Writes the end: the body is complete once everything is taken and sent. A second call does
        nothing.

        :raises WriteError: if something failed before. The body lacks it, and is to be aborted.
        """
    def take(self) -> list[bytes]:
        """What is ready to be sent and was not taken yet, in order."""
    @property
    def is_ready(self) -> bool:
        """Whether :meth:`take` has something."""
    @property
    def is_finished(self) -> bool:
        """Whether :meth:`finish` has succeeded."""
    @property
    def last_time(self) -> int:
        """The log time of the newest message; 0 without any."""
    def _metadata(self, name: str, metadata: dict[str, str]) -> None: ...
    def _attachment(self, name: str, media_type: str, data: Buffer, log_time: int, create_time: int) -> None: ...
    def _fill(self, messages: Iterator[Any]) -> bytes | None: ...
    def _offer(self, item: Any) -> bool: ...
    def _push(self, item: Any) -> bytes: ...
    def _close(self) -> None: ...

@final
class TimeSlices(Iterator[tuple[int, int]]):
    def __new__(cls, start: int, end: int, width: int) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> tuple[int, int]: ...

class Bearer:
    def __new__(cls, values: list[bytes]) -> Self: ...
    @property
    def token(self) -> str:
        """The token itself: to look it up, or to check its signature."""
    def is_(self, token: str) -> bool:
        """Whether it is this token. Takes as long whether or not, so that nobody can guess it piece
        by piece."""
    def __eq__(self, other: object, /) -> bool: ...

def message_type(kind: str, name: str, schema: bytes) -> tuple[str, tuple[str, str, bytes] | None]: ...
def protobuf_schema(message: str, descriptors: bytes) -> tuple[str, tuple[str, str, bytes] | None]: ...
def error_reply(status: int, message: str) -> tuple[str, list[tuple[str, bytes]]]: ...
def source_id(parts: list[str]) -> str: ...
def declared_times(start: int | None, end: int | None) -> tuple[str, str]: ...
