"""Checks the shared vectors: a folder of folders with input.json, manifest.json and body.mcap.

    python run_vectors.py FOLDER                                 are all of them met, byte for byte?
    python run_vectors.py FOLDER --write OUT --compression lz4   writes OUT/<name>.mcap for each
"""

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any

from remote_data_loader_backend import (
    BodyWriter,
    Channel,
    ChannelSet,
    Manifest,
    MessageSchema,
    MessageType,
    StaticSource,
    WriteError,
    source_id,
    time_slices,
)


def message_type(given: dict[str, Any]) -> MessageType:
    kind = given["kind"]
    if kind == "json_schema":
        return MessageType.json_schema(given["name"], given["schema"])
    if kind == "schemaless_json":
        return MessageType.schemaless_json()
    if kind == "protobuf":
        return MessageType.protobuf(given["message"], base64.b64decode(given["descriptors"]))
    if kind in ("ros2msg", "ros2idl", "ros1msg"):
        make: Any = getattr(MessageType, kind)
        made: MessageType = make(given["name"], given["definition"])
        return made
    if kind == "flatbuffer":
        return MessageType.flatbuffer(given["name"], base64.b64decode(given["schema"]))
    if kind == "raw":
        schema = given["schema"]
        if schema is not None:
            schema = MessageSchema(schema["name"], schema["encoding"], base64.b64decode(schema["data"]))
        return MessageType.raw(given["encoding"], schema)
    raise ValueError(f"no such kind of type: {kind}")


def manifest_of(given: dict[str, Any], channels: ChannelSet) -> str:
    sources: list[Any] = []
    for source in given["sources"]:
        if "static" in source:
            sources.append(StaticSource(source["static"]))
            continue
        parts = source.get("id")
        if "slices" not in source:
            id = None if parts is None else source_id(*parts)
            sources.append(channels.source(source["url"], source.get("start"), source.get("end"), id=id))
            continue
        slices = source["slices"]
        for part in time_slices(slices["start"], slices["end"], slices["width_nanos"]):

            def filled(text: str, part: Any = part) -> str:
                return text.replace("{start}", str(part.start)).replace("{end}", str(part.end))

            id = None if parts is None else source_id(*map(filled, parts))
            sources.append(channels.source(filled(source["url"]), part.start, part.end, id=id))
    return Manifest(sources, name=given.get("name")).to_json()


def take_step(writer: BodyWriter, declared: list[Channel], step: dict[str, Any]) -> None:
    if "message" in step:
        message = step["message"]
        if "channel_id" in message:
            channel = Channel.from_id(message["channel_id"])
        else:
            channel = declared[message["channel"]]
        data = base64.b64decode(message["data"])
        publish_time, sequence = message.get("publish_time"), message.get("sequence")
        writer.write(channel, message["log_time"], data, publish_time, sequence or 0)
    elif "flush" in step:
        writer.flush()
    elif "metadata" in step:
        writer.metadata(step["metadata"]["name"], step["metadata"]["metadata"])
    elif "attachment" in step:
        given = step["attachment"]
        data = base64.b64decode(given["data"])
        writer.attachment(given["name"], given["media_type"], data, given["log_time"], given["create_time"])
    else:
        raise ValueError(f"no such step: {step}")


def body_of(given: dict[str, Any], channels: ChannelSet, declared: list[Channel], compression: Any) -> bytes:
    """Everything that can be taken. Raises AssertionError where refusals are not as they should be."""
    options = dict(given.get("options") or {})
    options["chunk_duration"] = options.pop("chunk_duration_nanos", None)
    writer = BodyWriter(channels, compression=compression, **options)
    wanted = given.get("refused")
    pieces, refused = writer.take(), None
    for at, step in enumerate(given["steps"]):
        try:
            take_step(writer, declared, step)
        except WriteError as error:
            if refused is None:
                refused = {"step": at, "error": error.name}
        pieces += writer.take()
        if refused is not None:
            break
    assert refused == wanted, f"refused is {refused}, not {wanted}"
    try:
        writer.finish()
    except WriteError as error:
        assert wanted is not None and error.name == "ended", f"finish is refused with {error.name}: {error}"
    else:
        assert wanted is None, "a body that refused something was finished"
    return b"".join(pieces + writer.take())


def difference(what: str, made: bytes, wanted: bytes) -> str | None:
    if made == wanted:
        return None
    pairs = enumerate(zip(made, wanted, strict=False))
    at = next((at for at, (one, other) in pairs if one != other), min(len(made), len(wanted)))
    around = slice(max(at - 20, 0), at + 20)
    return (
        f"{what} differs from byte {at} on ({len(made)} bytes, not {len(wanted)}):"
        f" {made[around]!r}, not {wanted[around]!r}"
    )


def wrong(folder: Path, write: Path | None, compression: str) -> str | None:
    """The first thing that is not as it should be."""
    given = json.loads((folder / "input.json").read_text(encoding="utf-8"))
    channels = ChannelSet()
    declared = [
        channels.add(channel["topic"], message_type(channel["type"]), channel.get("metadata"))
        for channel in given["channels"]
    ]
    try:
        made = body_of(given["body"], channels, declared, compression)
    except AssertionError as error:
        return str(error)
    manifest = manifest_of(given["manifest"], channels).encode()
    if write is not None:
        (write / f"{folder.name}.mcap").write_bytes(made)
        return None
    return difference("manifest.json", manifest, (folder / "manifest.json").read_bytes()) or difference(
        "body.mcap", made, (folder / "body.mcap").read_bytes()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", type=Path, metavar="OUT")
    parser.add_argument("--compression", choices=["none", "lz4", "zstd"], default="none")
    asked = parser.parse_args()
    if asked.write is None and asked.compression != "none":
        parser.error("vectors are not compressed: --compression goes with --write")
    if asked.write is not None:
        asked.write.mkdir(parents=True, exist_ok=True)
    folders = sorted(path.parent for path in asked.folder.glob("*/input.json"))
    if not folders:
        parser.error(f"{asked.folder} has no vectors")
    for folder in folders:
        found = wrong(folder, asked.write, asked.compression)
        if found is not None:
            print(f"{folder.name}: {found}", file=sys.stderr)
            return 1
    print(f"{len(folders)} vectors {'met' if asked.write is None else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
