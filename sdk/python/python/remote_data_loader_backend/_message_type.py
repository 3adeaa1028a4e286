"""How the messages of a topic are encoded, and what describes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, overload

from remote_data_loader_backend import _native
from remote_data_loader_backend._errors import MessageTypeError

if TYPE_CHECKING:
    from typing_extensions import Buffer


class ProtobufMessage(Protocol):
    """A message class that protoc generated."""

    def SerializeToString(self) -> bytes:
        """Its data."""
        ...


class PydanticModel(Protocol):
    """A model of pydantic 2."""

    model_config: ClassVar[Any]

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Its JSON Schema."""
        ...


class FoxgloveSchema(Protocol):
    """``foxglove.Schema``."""

    @property
    def name(self) -> str:
        """The schema's name."""
        ...

    @property
    def encoding(self) -> str:
        """How it is written."""
        ...

    @property
    def data(self) -> bytes:
        """The schema itself."""
        ...


class FoxgloveMessage(Protocol):
    """A message class of ``foxglove.messages``."""

    @staticmethod
    def get_schema() -> Any:
        """Its ``foxglove.Schema``."""


@dataclass(frozen=True, slots=True)
class MessageSchema:
    """What describes the messages of a channel."""

    name: str
    """The schema's name: ``sensor_msgs/msg/Image``, …"""
    encoding: str
    """How it is written: ``protobuf``, ``ros2msg``, ``jsonschema``, …"""
    data: bytes
    """The schema itself."""


@dataclass(frozen=True, slots=True)
class MessageType:
    """The encoding of a topic's messages and, where they have one, their schema.

    The names of encodings are those of the MCAP specification's registry of `message encodings
    <https://mcap.dev/spec/registry#message-encodings>`_ and `schema encodings
    <https://mcap.dev/spec/registry#schema-encodings>`_. This class describes messages; to encode
    them is the business of the library that knows their type.
    """

    encoding: str
    """How messages are encoded: ``protobuf``, ``cdr``, ``json``, …"""
    schema: MessageSchema | None = None
    """Their schema."""

    @staticmethod
    def raw(encoding: str, schema: MessageSchema | None = None) -> MessageType:
        """Messages of any encoding with any schema."""
        return MessageType(encoding, schema)

    @staticmethod
    def json_schema(name: str, schema: str | Mapping[str, Any]) -> MessageType:
        """JSON, described by a JSON Schema (``json``, ``jsonschema``).

        :param schema: its text, or a dictionary. The keys of a dictionary stay in their order.
        """
        text = schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        return _of(_native.message_type("json_schema", name, text.encode()))

    @staticmethod
    def schemaless_json() -> MessageType:
        """JSON without a schema (``json``)."""
        return _of(_native.message_type("schemaless_json", "", b""))

    @staticmethod
    def pydantic(model: type[PydanticModel], *, by_alias: bool | None = None) -> MessageType:
        """JSON as a model of pydantic 2 writes it (``json``, ``jsonschema``): data is
        ``message.model_dump_json().encode()``.

        :param by_alias: whether you dump with ``by_alias=True``. Without, as pydantic has it:
            ``serialize_by_alias`` of the model's configuration, else false.
        """
        if by_alias is None:
            by_alias = bool(model.model_config.get("serialize_by_alias", False))
        schema = model.model_json_schema(by_alias=by_alias, mode="serialization")
        return MessageType.json_schema(model.__name__, schema)

    @overload
    @staticmethod
    def protobuf(message: type[ProtobufMessage]) -> MessageType: ...
    @overload
    @staticmethod
    def protobuf(message: str, descriptors: Buffer) -> MessageType: ...
    @staticmethod
    def protobuf(message: type[ProtobufMessage] | str, descriptors: Buffer | None = None) -> MessageType:
        """Protobuf (``protobuf``, ``protobuf``).

        :param message: a class that protoc generated, whose data is
            ``message.SerializeToString()``; or a name like ``package.Message``, with `descriptors`.
        :param descriptors: a serialized ``FileDescriptorSet``, as ``protoc --include_imports
            --descriptor_set_out`` writes it. The schema has those of its files that the message
            needs, each behind those that it imports.
        :raises MessageTypeError: if it is no descriptor set, or lacks `message` or an import.
        """
        if isinstance(message, str):
            if descriptors is None:
                raise TypeError(f"the name {message!r} needs descriptors, or give the message's class")
            return _of(_native.protobuf_schema(message, memoryview(descriptors).tobytes()))
        descriptor = getattr(message, "DESCRIPTOR", None)
        if descriptor is None or not hasattr(descriptor, "full_name"):
            raise _not_a_message_class(f"{message!r} is no message class of protobuf: it has no DESCRIPTOR")
        return _of(_native.protobuf_schema(descriptor.full_name, b"".join(_descriptor_set(descriptor.file))))

    @staticmethod
    def foxglove(message: type[FoxgloveMessage]) -> MessageType:
        """Messages of Foxglove's SDK (PyPI ``foxglove-sdk``), such as ``foxglove.messages.Pose``;
        data is ``message.encode()``.

        :raises MessageTypeError: if it is no such class.
        """
        get_schema = getattr(message, "get_schema", None)
        if get_schema is None:
            raise _not_a_message_class(f"{message!r} is no message class of foxglove-sdk: it has no get_schema()")
        schema: FoxgloveSchema = get_schema()
        if schema.encoding != "protobuf":
            raise _not_a_message_class(f"{message!r} has a schema of {schema.encoding}, and not of protobuf")
        return MessageType("protobuf", MessageSchema(schema.name, schema.encoding, bytes(schema.data)))

    @staticmethod
    def ros2msg(name: str, definition: str) -> MessageType:
        """CDR as ROS 2 writes it (``cdr``, ``ros2msg``).

        :param name: like ``sensor_msgs/msg/Imu``.
        :param definition: the text of its ``.msg`` file, followed by those that it uses, each under
            a line of 80 ``=`` and one of ``MSG: package/Name``.
        """
        return _of(_native.message_type("ros2msg", name, definition.encode()))

    @staticmethod
    def ros2idl(name: str, definition: str) -> MessageType:
        """CDR described by OMG IDL (``cdr``, ``ros2idl``), one file after the other as in the MCAP
        specification's registry."""
        return _of(_native.message_type("ros2idl", name, definition.encode()))

    @staticmethod
    def ros1msg(name: str, definition: str) -> MessageType:
        """Messages of ROS 1 (``ros1``, ``ros1msg``).

        :param name: like ``sensor_msgs/Imu``.
        :param definition: what ``gendeps --cat`` prints; ``_full_text`` of a generated class.
        """
        return _of(_native.message_type("ros1msg", name, definition.encode()))

    @staticmethod
    def flatbuffer(name: str, schema: Buffer) -> MessageType:
        """FlatBuffers (``flatbuffer``, ``flatbuffer``).

        :param schema: the binary schema, as ``flatc --schema -b`` writes it.
        """
        return _of(_native.message_type("flatbuffer", name, memoryview(schema).tobytes()))


def _of(parts: tuple[str, tuple[str, str, bytes] | None]) -> MessageType:
    encoding, schema = parts
    return MessageType(encoding, None if schema is None else MessageSchema(*schema))


def _descriptor_set(root: Any) -> Iterator[bytes]:
    """The fields of a ``FileDescriptorSet`` of `root` and all that it imports, in any order."""
    met, files = {root.name}, [root]
    while files:
        file = files.pop()
        data: bytes = file.serialized_pb
        # Field 1, and its length as a varint.
        head, length = bytearray(b"\x0a"), len(data)
        while length > 0x7F:
            head.append(length & 0x7F | 0x80)
            length >>= 7
        head.append(length)
        yield bytes(head) + data
        for imported in file.dependencies:
            if imported.name not in met:
                met.add(imported.name)
                files.append(imported)


def _not_a_message_class(why: str) -> MessageTypeError:
    return MessageTypeError("not-a-message-class", why)
