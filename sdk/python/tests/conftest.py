"""What tests share: a channel set, and a reader that is not ours."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcap.reader import NonSeekingReader, make_reader
from remote_data_loader_backend import Channel, ChannelSet, MessageType

PACKAGE = Path(__file__).resolve().parent.parent


class Declared(NamedTuple):
    """A set of two channels."""

    channels: ChannelSet
    a: Channel
    b: Channel


@pytest.fixture
def declared() -> Declared:
    channels = ChannelSet()
    a = channels.add("/a", MessageType.json_schema("A", {"type": "object"}))
    b = channels.add("/b", MessageType.raw("x"), {"qos": "reliable"})
    return Declared(channels, a, b)


def read(mcap: bytes) -> list[tuple[str, int, int, int, bytes]]:
    """Topic, log time, publish time, sequence and data of all messages of a body that is whole."""
    # Its summary has to be right, and so has its data section.
    summary = make_reader(io.BytesIO(mcap), validate_crcs=True).get_summary()
    assert summary is not None and summary.statistics is not None
    messages: Any = NonSeekingReader(io.BytesIO(mcap), validate_crcs=True).iter_messages(log_time_order=False)
    found = [
        (channel.topic, message.log_time, message.publish_time, message.sequence, message.data)
        for _, channel, message in messages
    ]
    assert summary.statistics.message_count == len(found)
    return found


def is_whole(mcap: bytes) -> bool:
    """Whether it ends as an MCAP file does."""
    return len(mcap) > 16 and mcap.endswith(b"\x89MCAP0\r\n")
