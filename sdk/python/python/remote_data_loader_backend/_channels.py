"""The channels of a source: declared once, for its manifest and for its data."""

from __future__ import annotations

from collections.abc import Mapping

from remote_data_loader_backend import _native
from remote_data_loader_backend._manifest import Schema, StreamedSource, Topic
from remote_data_loader_backend._message_type import MessageType
from remote_data_loader_backend._native import Channel
from remote_data_loader_backend._times import Time, end_nanos, start_nanos


class ChannelSet(_native.ChannelSet):
    """The channels of one source. Schemas are there once, ids are the loader's canonical ones.

    >>> channels = ChannelSet()
    >>> odometry = channels.add("/odom", MessageType.json_schema("Odometry", {"type": "object"}))
    >>> channels.channel("/odom") == odometry
    True
    """

    def add(self, topic: str, message_type: MessageType, metadata: Mapping[str, str] | None = None) -> Channel:
        """Declares a topic. Declared again, the same channel is returned.

        :param metadata: of the MCAP channel, such as ROS 2's ``offered_qos_profiles``. The manifest
            does not show it.
        :raises ChannelError: if a text is longer than 64 KiB, a schema longer than 12 MiB, or no id
            is left.
        """
        schema = message_type.schema
        parts = None if schema is None else (schema.name, schema.encoding, schema.data)
        return self._add(topic, message_type.encoding, parts, dict(metadata or {}))

    def channel(self, topic: str) -> Channel | None:
        """The first channel that was declared for this topic."""
        return self._channel(topic)

    def topics(self) -> list[Topic]:
        """The topics as a manifest declares them, in the order of their declaration."""
        return [Topic(*topic) for topic in self._topics()]

    def schemas(self) -> list[Schema]:
        """The schemas as a manifest declares them, each once, in the order of their first use."""
        return [Schema(*schema) for schema in self._schemas()]

    def source(
        self, url: str, start: Time | None = None, end: Time | None = None, *, id: str | None = None
    ) -> StreamedSource:
        """A source with these channels, whose messages lie within `start` and `end`, both included;
        ``None`` where a time is not known.

        :param url: absolute, or relative to the manifest endpoint.
        :param id: what the data is cached under: :func:`source_id`. Without one the URL is, which
            then must never change, nor mean other data.
        """
        start_time, end_time = _native.declared_times(
            None if start is None else start_nanos(start), None if end is None else end_nanos(end)
        )
        return StreamedSource(url, self.topics(), self.schemas(), start_time, end_time, id)
