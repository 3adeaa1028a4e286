"""Types of messages, from the libraries that know them."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import read
from google.protobuf import descriptor_pb2, timestamp_pb2
from mcap.records import Schema
from mcap_protobuf.decoder import DecoderFactory
from pydantic import BaseModel, ConfigDict, Field
from remote_data_loader_backend import ChannelSet, MessageSchema, MessageType, MessageTypeError, body


def schema_of(kind: MessageType) -> MessageSchema:
    assert kind.schema is not None
    return kind.schema


def decoder_of(schema: MessageSchema) -> Any:
    """A decoder that is not ours, which knows nothing but the schema."""
    record = Schema(id=1, name=schema.name, encoding=schema.encoding, data=schema.data)
    decoder = DecoderFactory().decoder_for("protobuf", record)
    assert decoder is not None
    return decoder


def test_encodings_are_those_of_the_registry() -> None:
    def named(kind: MessageType) -> tuple[str, str, str, bytes]:
        schema = schema_of(kind)
        return kind.encoding, schema.name, schema.encoding, schema.data

    assert named(MessageType.json_schema("A", "{}")) == ("json", "A", "jsonschema", b"{}")
    assert named(MessageType.ros2msg("a/msg/B", "x")) == ("cdr", "a/msg/B", "ros2msg", b"x")
    assert named(MessageType.ros2idl("a/msg/B", "ü")) == ("cdr", "a/msg/B", "ros2idl", "ü".encode())
    assert named(MessageType.ros1msg("a/B", "x")) == ("ros1", "a/B", "ros1msg", b"x")
    assert named(MessageType.flatbuffer("a.B", b"\xff")) == ("flatbuffer", "a.B", "flatbuffer", b"\xff")
    assert named(MessageType.flatbuffer("a.B", bytearray(b"\xff"))) == named(MessageType.flatbuffer("a.B", b"\xff"))
    assert MessageType.schemaless_json() == MessageType("json")
    raw = MessageSchema("n", "e", b"d")
    assert MessageType.raw("x", raw) == MessageType("x", raw) and MessageType.raw("x").schema is None


def test_a_dictionary_keeps_its_order() -> None:
    kind = MessageType.json_schema("A", {"type": "object", "description": "größe", "properties": {}})
    assert schema_of(kind).data == '{"type":"object","description":"größe","properties":{}}'.encode()


class Wheel(BaseModel):
    radius: float


class Odometry(BaseModel):
    """Where a robot is."""

    x: float
    frame: str = Field(alias="frameId", default="map")
    wheels: list[Wheel] = []


class Aliased(Odometry):
    model_config = ConfigDict(serialize_by_alias=True)


def test_pydantic_models_are_described_as_they_are_written() -> None:
    message = Odometry(x=1.5, wheels=[Wheel(radius=1)])
    schema = schema_of(MessageType.pydantic(Odometry))
    assert (schema.name, schema.encoding) == ("Odometry", "jsonschema")
    described = json.loads(schema.data)
    assert described["properties"].keys() == json.loads(message.model_dump_json()).keys()
    assert described["description"] == "Where a robot is."
    assert "Wheel" in described["$defs"]
    by_alias = json.loads(schema_of(MessageType.pydantic(Odometry, by_alias=True)).data)
    assert by_alias["properties"].keys() == json.loads(message.model_dump_json(by_alias=True)).keys()
    assert by_alias["properties"].keys() != described["properties"].keys()
    configured = json.loads(schema_of(MessageType.pydantic(Aliased)).data)
    assert configured["properties"].keys() == json.loads(Aliased(x=1).model_dump_json()).keys()


PROTOS = {
    "robot/base/point.proto": """
        syntax = "proto3";
        package robot.base;
        message Point { double x = 1; double y = 2; }
    """,
    "robot/unused.proto": """
        syntax = "proto3";
        package robot;
        message Unused {}
    """,
    "robot/drive.proto": """
        syntax = "proto3";
        package robot;
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/struct.proto";
        import "robot/base/point.proto";
        message Drive {
          message Wheel { string name = 1; robot.base.Point at = 2; }
          google.protobuf.Timestamp stamp = 1;
          repeated Wheel wheels = 2;
          google.protobuf.Struct more = 3;
        }
    """,
}


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The module that protoc generates."""
    from grpc_tools import protoc  # type: ignore[import-untyped]

    folder: Path = tmp_path_factory.mktemp("protos")
    for name, text in PROTOS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    included = str(importlib.resources.files("grpc_tools") / "_proto")
    set_out = f"--descriptor_set_out={folder / 'set.bin'}"
    arguments = ["protoc", f"-I{folder}", f"-I{included}", f"--python_out={folder}", "--include_imports", set_out]
    assert protoc.main([*arguments, *(str(folder / name) for name in PROTOS)]) == 0
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module("robot.drive_pb2")
        module.descriptors = (folder / "set.bin").read_bytes()  # type: ignore[attr-defined]
        yield module
    finally:
        sys.path.remove(str(folder))


def files(schema: MessageSchema) -> list[str]:
    return [file.name for file in descriptor_pb2.FileDescriptorSet.FromString(schema.data).file]


def test_a_protobuf_class_brings_the_files_that_it_needs(drive: Any) -> None:
    kind = MessageType.protobuf(drive.Drive)
    schema = schema_of(kind)
    assert (kind.encoding, schema.encoding, schema.name) == ("protobuf", "protobuf", "robot.Drive")
    assert files(schema) == [
        "google/protobuf/timestamp.proto",
        "google/protobuf/struct.proto",
        "robot/base/point.proto",
        "robot/drive.proto",
    ]
    # As from protoc's own descriptor set, which has names for JSON beside.
    from_set = schema_of(MessageType.protobuf("robot.Drive", drive.descriptors))
    assert from_set.name == schema.name and files(from_set) == files(schema)
    again = MessageType.protobuf("robot.Drive", schema.data)
    assert schema_of(again) == schema
    nested = schema_of(MessageType.protobuf(drive.Drive.Wheel))
    assert nested.name == "robot.Drive.Wheel" and nested.data == schema.data
    assert files(schema_of(MessageType.protobuf(timestamp_pb2.Timestamp))) == ["google/protobuf/timestamp.proto"]


def test_protobuf_messages_are_decoded_by_another_reader(drive: Any) -> None:
    channels = ChannelSet()
    channel = channels.add("/drive", MessageType.protobuf(drive.Drive))
    message = drive.Drive(stamp={"seconds": 7}, wheels=[{"name": "left", "at": {"x": 1.5}}])
    message.more["fuel"] = 0.5
    mcap = b"".join(body(channels, [(channel, 1, message.SerializeToString())]))
    assert len(read(mcap)) == 1
    schema = schema_of(MessageType.protobuf(drive.Drive))
    decoder = decoder_of(schema)
    decoded = decoder(message.SerializeToString())
    assert decoded.wheels[0].at.x == 1.5 and decoded.stamp.seconds == 7 and decoded.more["fuel"] == 0.5


def test_what_is_no_protobuf_is_refused(drive: Any) -> None:
    with pytest.raises(MessageTypeError, match=r"robot\.Nothing") as refused:
        MessageType.protobuf("robot.Nothing", drive.descriptors)
    assert refused.value.name == "no-such-message"
    with pytest.raises(MessageTypeError, match="cannot be decoded") as refused:
        MessageType.protobuf("robot.Drive", b"\xff\xff")
    assert refused.value.name == "not-a-descriptor-set"
    alone = descriptor_pb2.FileDescriptorSet()
    drive.DESCRIPTOR.CopyToProto(alone.file.add())
    with pytest.raises(MessageTypeError, match="--include_imports") as refused:
        MessageType.protobuf("robot.Drive", memoryview(alone.SerializeToString()))
    assert refused.value.name == "missing-import"
    wrong: Any = int
    with pytest.raises(MessageTypeError, match="no DESCRIPTOR") as refused:
        MessageType.protobuf(wrong)
    assert refused.value.name == "not-a-message-class"
    name: Any = "robot.Drive"
    with pytest.raises(TypeError, match="descriptors"):
        MessageType.protobuf(name)


def test_foxglove_classes_bring_their_schemas() -> None:
    from foxglove import messages

    kind = MessageType.foxglove(messages.PoseInFrame)
    schema = schema_of(kind)
    assert (kind.encoding, schema.name, schema.encoding) == ("protobuf", "foxglove.PoseInFrame", "protobuf")
    assert "foxglove/Pose.proto" in files(schema)
    message = messages.PoseInFrame(frame_id="map", pose=messages.Pose(position=messages.Vector3(x=1.5)))
    channels = ChannelSet()
    channel = channels.add("/pose", kind)
    ((_, _, _, _, data),) = read(b"".join(body(channels, [(channel, 1, message.encode())])))
    decoder = decoder_of(schema)
    assert decoder(data).pose.position.x == 1.5
    wrong: Any = int
    with pytest.raises(MessageTypeError, match="get_schema"):
        MessageType.foxglove(wrong)
