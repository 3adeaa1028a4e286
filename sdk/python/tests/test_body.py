"""Bodies, written and pulled."""

import gc
import itertools
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import Declared, is_whole, read
from remote_data_loader_backend import (
    AnyMessage,
    BackendError,
    BodyWriter,
    Channel,
    ChannelError,
    ChannelSet,
    Message,
    MessageType,
    WriteError,
    body,
)


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_another_reader_finds_every_message_as_it_was(declared: Declared, compression: Any) -> None:
    writer = BodyWriter(declared.channels, compression=compression, profile="ros2")
    writer.write(declared.b, 7, b"\x00\x01", 5, 9)
    writer.write(declared.a, 7, b"{}", sequence=2**32 - 1)
    writer.metadata("notes", {"weather": "fine"})
    writer.attachment("map.yaml", "text/yaml", b"resolution: 0.05", 8)
    writer.write(declared.a, 2**64 - 1, b"[]", publish_time=0)
    assert writer.last_time == 2**64 - 1 and not writer.is_finished
    writer.finish()
    writer.finish()
    assert writer.is_finished and writer.is_ready
    mcap = b"".join(writer.take())
    assert not writer.is_ready and writer.take() == []
    assert read(mcap) == [
        ("/b", 7, 5, 9, b"\x00\x01"),
        ("/a", 7, 7, 2**32 - 1, b"{}"),
        ("/a", 2**64 - 1, 0, 0, b"[]"),
    ]
    assert b"weather" in mcap and b"text/yaml" in mcap


def test_whatever_is_like_bytes_will_do(declared: Declared) -> None:
    whole = bytes(range(10))
    writer = BodyWriter(declared.channels)
    reused = bytearray(whole)
    alike: list[Any] = [whole, reused, memoryview(whole), memoryview(whole)[::2]]
    for at, data in enumerate(alike):
        writer.write(declared.b, at, data)
    reused[:] = bytes(10)
    writer.finish()
    found = [message[-1] for message in read(b"".join(writer.take()))]
    assert found == [whole, whole, whole, whole[::2]]


def test_written_and_pulled_bodies_have_the_same_bytes(declared: Declared) -> None:
    data = bytes(1000)
    writer = BodyWriter(declared.channels, chunk_bytes=10_000)
    pieces = writer.take()
    for at in range(100):
        writer.write(declared.a, at, data)
        pieces += writer.take()
    writer.finish()
    pieces += writer.take()
    pulled = list(body(declared.channels, ((declared.a, at, data) for at in range(100)), chunk_bytes=10_000))
    assert b"".join(pulled) == b"".join(pieces)
    # A chunk each, and the end; the header comes with the first.
    assert len(pulled) == 11


def test_messages_are_tuples_or_say_what_they_are(declared: Declared) -> None:
    messages: list[AnyMessage] = [
        (declared.a, 1, b"1"),
        (declared.a, 2, b"2", None),
        (declared.b, 3, b"3", 30, 300),
        Message(declared.b, 4, b"4", sequence=400),
    ]
    assert read(b"".join(body(declared.channels, messages))) == [
        ("/a", 1, 1, 0, b"1"),
        ("/a", 2, 2, 0, b"2"),
        ("/b", 3, 30, 300, b"3"),
        ("/b", 4, 4, 400, b"4"),
    ]
    assert read(b"".join(body(declared.channels, []))) == []


REFUSED: list[tuple[str, Callable[[Declared], Any]]] = [
    ("out-of-order", lambda declared: (declared.a, 14, b"")),
    ("outside-times", lambda declared: (declared.a, 21, b"")),
    ("unknown-channel", lambda declared: (Channel.from_id(declared.a.id ^ 1), 16, b"")),
    ("too-large", lambda declared: (declared.a, 16, b"123456")),
]


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_what_would_play_wrong_is_refused_by_name(
    declared: Declared, name: str, message: Callable[[Declared], Any]
) -> None:
    options: Any = {"start": 10, "end": 20, "max_message_bytes": 5}
    writer = BodyWriter(declared.channels, **options)
    writer.write(declared.a, 15, b"{}")
    with pytest.raises(WriteError) as refused:
        writer.write(*message(declared))
    assert refused.value.name == name and name not in str(refused.value)
    assert isinstance(refused.value, BackendError)
    again = pickle.loads(pickle.dumps(refused.value))
    assert (again.name, str(again)) == (name, str(refused.value))
    further: list[Callable[[], None]] = [writer.finish, writer.flush, lambda: writer.write(declared.a, 20, b"")]
    for go_on in further:
        with pytest.raises(WriteError, match="has failed") as ended:
            go_on()
        assert ended.value.name == "ended"
    assert not is_whole(b"".join(writer.take()))

    pieces = body(declared.channels, [(declared.a, 15, b"{}"), message(declared)], **options)
    with pytest.raises(WriteError) as refused:
        next(pieces)
    assert refused.value.name == name
    with pytest.raises(BackendError):
        next(pieces)


def test_a_finished_body_takes_nothing_more(declared: Declared) -> None:
    writer = BodyWriter(declared.channels)
    writer.finish()
    with pytest.raises(WriteError, match="is finished") as ended:
        writer.write(declared.a, 1, b"")
    assert ended.value.name == "ended"


WRONG: list[tuple[type[Exception], str, Callable[[Declared], Any]]] = [
    (TypeError, "bytes-like object is required, not 'str'", lambda declared: (declared.a, 1, "text")),
    (TypeError, "bytes-like object is required, not 'int'", lambda declared: (declared.a, 1, 5)),
    (TypeError, "log_time: 'float'", lambda declared: (declared.a, 1.5, b"")),
    (ValueError, "log_time", lambda declared: (declared.a, -1, b"")),
    (ValueError, "log_time", lambda declared: (declared.a, 2**64, b"")),
    (ValueError, "publish_time", lambda declared: (declared.a, 1, b"", -1)),
    (ValueError, "sequence", lambda declared: (declared.a, 1, b"", 1, 2**32)),
    (TypeError, "Channel of the set", lambda declared: ("/a", 1, b"")),
]


@pytest.mark.parametrize(("kind", "text", "message"), WRONG)
def test_a_message_that_is_none_fails_the_body(
    declared: Declared, kind: type[Exception], text: str, message: Callable[[Declared], Any]
) -> None:
    writer = BodyWriter(declared.channels)
    with pytest.raises(kind, match=text):
        writer.write(*message(declared))
    with pytest.raises(WriteError, match="has failed"):
        writer.finish()
    with pytest.raises(kind, match=text):
        list(body(declared.channels, [message(declared)]))


def test_what_is_no_message_is_named(declared: Declared) -> None:
    for item in [b"data", [declared.a, 1, b""], (declared.a, 1), (declared.a, 1, b"", 1, 1, 1), None]:
        items: Any = [item]
        with pytest.raises(TypeError, match=r"\(channel, log_time, data"):
            list(body(declared.channels, items))


def test_a_caller_may_fail_a_body(declared: Declared) -> None:
    writer = BodyWriter(declared.channels)
    writer.fail()
    with pytest.raises(WriteError, match="has failed"):
        writer.finish()


def test_options_are_checked_at_once(declared: Declared) -> None:
    wrong: list[tuple[type[Exception], Any]] = [
        (ValueError, {"compression": "gzip"}),
        (TypeError, {"compresion": "lz4"}),
        (TypeError, {"chunk_duration": 0.5}),
        (ValueError, {"start": datetime(2026, 1, 1)}),
        (OverflowError, {"chunk_bytes": -1}),
    ]
    for kind, options in wrong:
        with pytest.raises(kind):
            body(declared.channels, [], **options)


def test_chunks_close_by_log_time(declared: Declared) -> None:
    messages = [(declared.a, second * 1_000_000_000, b"{}") for second in range(10)]
    pieces = list(body(declared.channels, messages, chunk_duration=timedelta(seconds=2)))
    assert len(pieces) == 5
    assert len(list(body(declared.channels, messages, chunk_duration=5_000_000_000))) == 2


def test_declared_times_may_be_datetimes(declared: Declared) -> None:
    second = datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
    options: Any = {"start": second, "end": second}
    # An end covers its whole microsecond.
    inside = [(declared.a, 1_000_000_000, b""), (declared.a, 1_000_000_999, b"")]
    assert len(read(b"".join(body(declared.channels, inside, **options)))) == 2
    for outside in (999_999_999, 1_000_001_000):
        with pytest.raises(WriteError) as refused:
            list(body(declared.channels, [(declared.a, outside, b"")], **options))
        assert refused.value.name == "outside-times"


class Source:
    """Messages that say how many were taken, and whether they were closed."""

    def __init__(self, declared: Declared, data: bytes, fails_at: int | None = None) -> None:
        self.taken = 0
        self.closed = 0
        self.messages = self._messages(declared, data, fails_at)

    def _messages(self, declared: Declared, data: bytes, fails_at: int | None) -> Iterator[Any]:
        try:
            for at in itertools.count():
                if at == fails_at:
                    raise OSError("the disk is gone")
                self.taken += 1
                yield declared.a, at, data
        finally:
            self.closed += 1


def test_no_message_is_asked_for_before_its_turn(declared: Declared) -> None:
    source = Source(declared, bytes(1000))
    pieces = body(declared.channels, source.messages, chunk_bytes=10_000)
    assert source.taken == 0
    next(pieces)
    assert source.taken == 10
    next(pieces)
    assert source.taken == 20


def test_closing_a_body_closes_its_messages(declared: Declared) -> None:
    source = Source(declared, bytes(1000))
    pieces = body(declared.channels, source.messages, chunk_bytes=10_000)
    next(pieces)
    pieces.close()
    pieces.close()
    assert source.closed == 1
    # What was cut short is no end.
    with pytest.raises(BackendError, match="closed"):
        next(pieces)


def test_closing_a_body_that_never_began_closes_its_messages(declared: Declared) -> None:
    class Cursor:
        closed = 0

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            raise AssertionError("nobody asked")

        def close(self) -> None:
            self.closed += 1

    cursor = Cursor()
    body(declared.channels, cursor).close()
    assert cursor.closed == 1


def test_a_body_that_is_dropped_ends_its_messages(declared: Declared) -> None:
    source = Source(declared, bytes(1000))
    for _ in body(declared.channels, source.messages, chunk_bytes=10_000):
        break
    messages, source.messages = source.messages, iter(())
    del messages
    gc.collect()
    assert source.closed == 1


def test_an_exception_comes_out_in_place_of_the_end(declared: Declared) -> None:
    source = Source(declared, bytes(1000), fails_at=25)
    pieces, taken = body(declared.channels, source.messages, chunk_bytes=10_000), []
    with pytest.raises(OSError, match="the disk is gone"):
        for piece in pieces:
            taken.append(piece)
    assert len(taken) == 2 and source.closed == 1 and not is_whole(b"".join(taken))
    for _ in range(2):
        with pytest.raises(BackendError, match="has failed"):
            next(pieces)


def test_a_body_in_which_a_body_is_written_says_so(declared: Declared) -> None:
    writer = BodyWriter(declared.channels)

    def messages() -> Iterator[Any]:
        writer.write(declared.a, 1, b"")
        yield declared.a, 1, b""

    with pytest.raises(BackendError, match="one writes at a time"):
        writer._fill(messages())


def test_an_end_stays_an_end(declared: Declared) -> None:
    pieces = body(declared.channels, [(declared.a, 1, b"")])
    assert is_whole(b"".join(pieces))
    assert list(pieces) == []


def test_channels_are_values(declared: Declared) -> None:
    assert len(declared.channels) == 2
    assert declared.channels.channel("/a") == declared.a != declared.b
    assert declared.channels.channel("/c") is None
    assert pickle.loads(pickle.dumps(declared.a)) == declared.a
    assert {declared.a: 1}[Channel.from_id(declared.a.id)] == 1
    assert declared.channels.add("/a", MessageType.json_schema("A", '{"type":"object"}')) == declared.a
    assert eval(repr(declared.a)) == declared.a


def test_what_is_too_long_is_refused_by_name() -> None:
    channels = ChannelSet()
    with pytest.raises(ChannelError, match="the name") as refused:
        channels.add("t" * 70_000, MessageType.schemaless_json())
    assert refused.value.name == "too-long"
    with pytest.raises(ChannelError, match='the schema of the topic "/a"'):
        channels.add("/a", MessageType.flatbuffer("a.B", bytes(13 << 20)))
    assert len(channels) == 0


def test_whatever_was_not_written_cannot_be_finished(declared: Declared) -> None:
    wrong: Any = {"fx": 1.0}
    refused: list[Callable[[BodyWriter], None]] = [
        lambda writer: writer.metadata("camera", wrong),
        lambda writer: writer.attachment("map", "text/plain", wrong, 0),
        lambda writer: writer.attachment("map", "text/plain", b"", -1),
        lambda writer: writer.fail(),
    ]
    for refuse in refused:
        writer = BodyWriter(declared.channels)
        writer.write(declared.a, 1, b"{}")
        with suppress(TypeError, ValueError, OverflowError):
            refuse(writer)
        with pytest.raises(WriteError) as ended:
            writer.finish()
        assert ended.value.name == "ended"
