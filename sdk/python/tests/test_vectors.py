"""The runner of the shared vectors, and the vectors."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PACKAGE, read
from remote_data_loader_backend import MessageType

VECTORS = PACKAGE.parent / "vectors"


def run(*arguments: str | Path) -> tuple[int, str]:
    program = Path(__file__).with_name("run_vectors.py")
    done = subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


EVERYTHING: dict[str, Any] = {
    "about": "all kinds of types, steps and sources",
    "channels": [
        {"topic": "/odom", "type": {"kind": "json_schema", "name": "Odometry", "schema": '{"type":"object"}'}},
        {"topic": "/log", "type": {"kind": "schemaless_json"}, "metadata": {"k": "ü"}},
        {"topic": "/imu", "type": {"kind": "ros2msg", "name": "a/msg/B", "definition": "int32 x"}},
        {"topic": "/idl", "type": {"kind": "ros2idl", "name": "a/msg/C", "definition": "module a {};"}},
        {"topic": "/old", "type": {"kind": "ros1msg", "name": "a/B", "definition": "int32 x"}},
        {"topic": "/fb", "type": {"kind": "flatbuffer", "name": "a.B", "schema": base64_of(b"\x00\xff")}},
        {"topic": "/raw", "type": {"kind": "raw", "encoding": "x", "schema": None}},
        {
            "topic": "/rawer",
            "type": {
                "kind": "raw",
                "encoding": "x",
                "schema": {"name": "N", "encoding": "y", "data": base64_of(b"z")},
            },
        },
    ],
    "manifest": {
        "name": "größer als „x“",
        "sources": [
            {"url": "/data?a=b", "id": ["v1", "drive 7"], "start": 1, "end": 2**64 - 1},
            {"url": "/data", "id": None, "start": None, "end": None},
            {"slices": {"start": 5, "end": 25, "width_nanos": 10}, "url": "/s?f={start}&t={end}", "id": ["{start}"]},
            {"static": "/files/a.mcap"},
        ],
    },
    "body": {
        "options": {"chunk_bytes": 100, "chunk_duration_nanos": 1000, "profile": "ros2", "start": 1, "end": 2**64 - 1},
        "steps": [
            {"message": {"channel": 0, "log_time": 1, "data": base64_of(b"{}")}},
            {"message": {"channel": 1, "log_time": 1, "publish_time": 0, "sequence": 7, "data": ""}},
            {"flush": True},
            {"metadata": {"name": "m", "metadata": {"b": "1", "a": "2"}}},
            {
                "attachment": {
                    "name": "a",
                    "media_type": "text/plain",
                    "log_time": 3,
                    "create_time": 4,
                    "data": base64_of(b"hi"),
                }
            },
            {"message": {"channel": 7, "log_time": 2**64 - 1, "data": base64_of(b"x")}},
        ],
    },
}

REFUSED: dict[str, Any] = {
    "about": "a message that comes too late",
    "channels": [{"topic": "/log", "type": {"kind": "schemaless_json"}}],
    "manifest": {"name": None, "sources": []},
    "body": {
        "steps": [
            {"message": {"channel": 0, "log_time": 5, "data": ""}},
            {"message": {"channel_id": 7, "log_time": 6, "data": ""}},
        ],
        "refused": {"step": 1, "error": "unknown-channel"},
    },
}


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    for name, given in [("everything", EVERYTHING), ("refused", REFUSED)]:
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "input.json").write_text(json.dumps(given))
    return tmp_path / "in"


def test_the_runner_writes_bodies_in_any_compression(vectors: Path, tmp_path: Path) -> None:
    for compression in ["none", "lz4", "zstd"]:
        out = tmp_path / compression
        assert run(vectors, "--write", out, "--compression", compression) == (0, "2 vectors written\n")
        found = read((out / "everything.mcap").read_bytes())
        assert found == [
            ("/odom", 1, 1, 0, b"{}"),
            ("/log", 1, 0, 7, b""),
            ("/rawer", 2**64 - 1, 2**64 - 1, 0, b"x"),
        ]


def test_the_runner_names_the_first_difference(vectors: Path, tmp_path: Path) -> None:
    run(vectors, "--write", tmp_path / "out")
    kind = MessageType.json_schema("Odometry", '{"type":"object"}')
    assert kind.schema is not None
    for name, manifest in [("everything", None), ("refused", '{"sources":[]}')]:
        mcap = (tmp_path / "out" / f"{name}.mcap").read_bytes()
        (vectors / name / "body.mcap").write_bytes(mcap)
        (vectors / name / "manifest.json").write_text(manifest or "{}", encoding="utf-8")
    status, said = run(vectors)
    assert status == 1 and said.startswith("everything: manifest.json differs from byte 1 on")
    # What the runner says that it made, whole.
    sys.path.insert(0, str(Path(__file__).parent))
    import run_vectors
    from remote_data_loader_backend import ChannelSet

    channels = ChannelSet()
    for channel in EVERYTHING["channels"]:
        channels.add(channel["topic"], run_vectors.message_type(channel["type"]), channel.get("metadata"))
    made = run_vectors.manifest_of(EVERYTHING["manifest"], channels)
    ids = [source.get("id") for source in json.loads(made)["sources"]]
    assert ids == ["v1/drive%207", None, "5", "10", "20", None]
    (vectors / "everything" / "manifest.json").write_text(made, encoding="utf-8")
    assert run(vectors) == (0, "2 vectors met\n")

    mcap = (vectors / "refused" / "body.mcap").read_bytes()
    (vectors / "refused" / "body.mcap").write_bytes(mcap + b"x")
    status, said = run(vectors)
    assert status == 1 and f"refused: body.mcap differs from byte {len(mcap)} on" in said
    given = json.loads((vectors / "refused" / "input.json").read_text())
    given["body"]["refused"]["error"] = "too-large"
    (vectors / "refused" / "input.json").write_text(json.dumps(given))
    status, said = run(vectors)
    assert status == 1 and "unknown-channel" in said and "too-large" in said


@pytest.mark.skipif(not VECTORS.is_dir(), reason="there are no shared vectors beside the package")
def test_the_shared_vectors_are_met() -> None:
    status, said = run(VECTORS)
    assert status == 0, said
