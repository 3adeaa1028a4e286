"""The manifest: what a manifest endpoint answers, field for field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

from remote_data_loader_backend import _native


class _Json:
    """What becomes JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary with the names of the JSON, in their order."""
        raise NotImplementedError

    def to_json(self) -> str:
        """As compact JSON: the same text that the kit writes in every language.

        :raises ValueError: if a text is not Unicode (a lone surrogate).
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))
        try:
            text.encode()
        except UnicodeEncodeError as error:
            around = text[max(error.start - 40, 0) : error.end]
            raise ValueError(f"not Unicode, and so not JSON: …{around!r}") from None
        return text


@dataclass(frozen=True, slots=True)
class Topic(_Json):
    """A topic of a streamed source."""

    name: str
    """The topic's name."""
    message_encoding: str
    """How its messages are encoded: ``protobuf``, ``cdr``, ``json``, …"""
    schema_id: int | None = None
    """The schema of its messages, if they have one."""

    def to_dict(self) -> dict[str, Any]:
        topic: dict[str, Any] = {"name": self.name, "messageEncoding": self.message_encoding}
        if self.schema_id is not None:
            topic["schemaId"] = self.schema_id
        return topic


@dataclass(frozen=True, slots=True)
class Schema(_Json):
    """A schema of a streamed source."""

    id: int
    """What topics of this source refer to, 1 to 65,535; unique in the source."""
    name: str
    """The schema's name: ``sensor_msgs/msg/Image``, …"""
    encoding: str
    """How the schema is written: ``protobuf``, ``ros2msg``, ``jsonschema``, …"""
    data: str
    """The schema itself, in standard base64."""

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "encoding": self.encoding, "data": self.data}


@dataclass(frozen=True, slots=True)
class StreamedSource(_Json):
    """An MCAP stream in ascending log time. :meth:`ChannelSet.source` makes one."""

    url: str
    """The data endpoint: absolute, or relative to the manifest endpoint."""
    topics: Sequence[Topic]
    """The topics that the stream may have."""
    schemas: Sequence[Schema]
    """The schemas that the topics refer to."""
    start_time: str
    """No message is earlier than this. RFC 3339; the least date there is stands for unknown."""
    end_time: str
    """No message is later than this. RFC 3339; the greatest date there is stands for unknown."""
    id: str | None = None
    """What the data is cached under, unique across the whole backend: the same id means the same
    data. Without one, the URL is used."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "topics", tuple(self.topics))
        object.__setattr__(self, "schemas", tuple(self.schemas))

    def to_dict(self) -> dict[str, Any]:
        source: dict[str, Any] = {"url": self.url}
        if self.id is not None:
            source["id"] = self.id
        source["topics"] = [topic.to_dict() for topic in self.topics]
        source["schemas"] = [schema.to_dict() for schema in self.schemas]
        source["startTime"] = self.start_time
        source["endTime"] = self.end_time
        return source


@dataclass(frozen=True, slots=True)
class StaticSource(_Json):
    """An MCAP file whose server supports range requests; everything else is read from its
    summary."""

    url: str
    """Where the file lies: absolute, or relative to the manifest endpoint."""

    def to_dict(self) -> dict[str, Any]:
        return {"url": self.url, "supportsRangeRequests": True}


Source = Union[StreamedSource, StaticSource]
"""One source of data."""


@dataclass(frozen=True, slots=True)
class Manifest(_Json):
    """What a manifest endpoint answers: the sources that make up one recording."""

    sources: Sequence[Source]
    """The sources, in the order that decides between messages of one time."""
    name: str | None = None
    """The title that a viewer shows."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))

    def to_dict(self) -> dict[str, Any]:
        manifest: dict[str, Any] = {} if self.name is None else {"name": self.name}
        manifest["sources"] = [source.to_dict() for source in self.sources]
        return manifest


def source_id(*parts: str | int) -> str:
    """Joins `parts` into the ``id`` of a source; different parts always give different ids.

    The loader takes the same id for the same data, whenever and by whomever it is asked for. So an
    id names everything that the data depends on: the recording, the topics, the slice of time, and
    a version that you count up when your code makes other data of the same store.

    >>> source_id("v1", "drive 7", "/imu", 1700000000)
    'v1/drive%207/%2Fimu/1700000000'
    """
    return _native.source_id([str(part) for part in parts])
