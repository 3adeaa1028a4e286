"""Validates MCAP files with the reader that Foxglove publishes for Python.

    validate_mcap.py <path or URL> [--token TOKEN] [--unordered] [--no-summary]

Every CRC is checked, messages must be in ascending log time in the order of the file, and the
summary must say what the data section holds. Prints one JSON object: counts, times, topics and a
digest of the contents. Exit status 1, and the reasons in `errors`, if anything is wrong.
"""

import argparse
import hashlib
import io
import json
import struct
import sys
import urllib.request
import zlib
from collections import Counter

from mcap.reader import SeekingReader
from mcap.records import (
    Attachment,
    Channel,
    Chunk,
    DataEnd,
    Header,
    Message,
    Metadata,
    Schema,
    Statistics,
)
from mcap.stream_reader import StreamReader

MAGIC_BYTES = 8
# Opcode, length, two offsets and the CRC.
FOOTER_BYTES = 1 + 8 + 8 + 8 + 4


def load(source, token):
    if not source.startswith(("http://", "https://")):
        with open(source, "rb") as file:
            return file.read()
    request = urllib.request.Request(source)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def put(digest, data):
    digest.update(struct.pack("<Q", len(data)))
    digest.update(data)


def put_message(digest, schema, channel, message):
    """A text or a payload as its length and its bytes, every number as 64 bits; no ids."""
    put(digest, channel.topic.encode())
    put(digest, channel.message_encoding.encode())
    put(digest, schema.name.encode() if schema else b"")
    put(digest, schema.encoding.encode() if schema else b"")
    put(digest, schema.data if schema else b"")
    digest.update(struct.pack("<Q", len(channel.metadata)))
    for key, value in sorted(channel.metadata.items()):
        put(digest, key.encode())
        put(digest, value.encode())
    times = (message.log_time, message.publish_time, message.sequence)
    digest.update(struct.pack("<QQQ", *times))
    put(digest, message.data)


class Contents:
    """What the data section holds, read from front to back."""

    def __init__(self, data, errors):
        self.errors = errors
        self.schemas, self.channels = {}, {}
        self.per_channel, self.topics = Counter(), Counter()
        self.metadata, self.attachments, self.chunks = [], 0, 0
        self.profile = ""
        self.start, self.end, self.newest = None, None, None
        self.disordered = 0
        self.compressions = set()
        self.digest = hashlib.sha256()
        for record in StreamReader(io.BytesIO(data), validate_crcs=True).records:
            if isinstance(record, DataEnd):
                break
            self.take(record)
        for record in StreamReader(io.BytesIO(data), emit_chunks=True).records:
            if isinstance(record, Chunk):
                self.chunks += 1
                self.compressions.add(record.compression)

    def take(self, record):
        if isinstance(record, Header):
            self.profile = record.profile
        elif isinstance(record, Schema):
            self.define(self.schemas, record)
        elif isinstance(record, Channel):
            self.define(self.channels, record)
            if record.schema_id and record.schema_id not in self.schemas:
                self.errors.append(f"channel {record.id} comes before its schema")
        elif isinstance(record, Metadata):
            self.metadata.append({"name": record.name, "metadata": record.metadata})
        elif isinstance(record, Attachment):
            self.attachments += 1
        elif isinstance(record, Message):
            self.message(record)

    def define(self, known, record):
        if known.setdefault(record.id, record) != record:
            self.errors.append(f"{type(record).__name__} {record.id} is defined in two ways")

    def message(self, message):
        channel = self.channels.get(message.channel_id)
        if channel is None:
            self.errors.append(f"a message comes before its channel {message.channel_id}")
            return
        time = message.log_time
        if self.newest is not None and time < self.newest:
            self.disordered += 1
        self.newest = time
        self.start = time if self.start is None else min(self.start, time)
        self.end = time if self.end is None else max(self.end, time)
        self.per_channel[channel.id] += 1
        self.topics[channel.topic] += 1
        put_message(self.digest, self.schemas.get(channel.schema_id), channel, message)


def records_with_offsets(data):
    """Every record outside of chunks: its offset, its length with the head, its opcode."""
    at = MAGIC_BYTES
    while at < len(data) - MAGIC_BYTES:
        opcode, length = struct.unpack_from("<BQ", data, at)
        yield at, 9 + length, opcode
        at += 9 + length


def check_summary(data, contents, errors):
    reader = SeekingReader(io.BytesIO(data), validate_crcs=True)
    summary = reader.get_summary()
    if summary is None or summary.statistics is None:
        errors.append("there is no summary with statistics")
        return
    stats: Statistics = summary.statistics
    expected = {
        "message_count": sum(contents.per_channel.values()),
        "schema_count": len(contents.schemas),
        "channel_count": len(contents.channels),
        "attachment_count": contents.attachments,
        "metadata_count": len(contents.metadata),
        "chunk_count": contents.chunks,
        "message_start_time": contents.start or 0,
        "message_end_time": contents.end or 0,
    }
    for name, value in expected.items():
        if getattr(stats, name) != value:
            errors.append(f"the statistics' {name} is {getattr(stats, name)}, not {value}")
    counted = {id: count for id, count in stats.channel_message_counts.items() if count}
    if counted != dict(contents.per_channel):
        errors.append("the statistics' counts per channel are wrong")
    if summary.schemas != contents.schemas or summary.channels != contents.channels:
        errors.append("the summary's schemas and channels are not those of the data section")
    check_offsets(data, summary, contents, errors)
    if contents.chunks:
        found = sum(1 for _ in reader.iter_messages(log_time_order=True))
        if found != expected["message_count"]:
            errors.append(f"{found} messages are found through the indexes")


def check_offsets(data, summary, contents, errors):
    lie = {}
    for offset, length, opcode in records_with_offsets(data):
        lie.setdefault(opcode, {})[offset] = length
    chunks = {index.chunk_start_offset: index.chunk_length for index in summary.chunk_indexes}
    if chunks != lie.get(0x06, {}):
        errors.append("the chunk indexes do not name just the chunks")
    for index in summary.chunk_indexes:
        for offset in index.message_index_offsets.values():
            if offset not in lie.get(0x07, {}):
                errors.append(f"no message index lies at {offset}")
    for opcode, indexes in ((0x09, summary.attachment_indexes), (0x0C, summary.metadata_indexes)):
        if {index.offset: index.length for index in indexes} != lie.get(opcode, {}):
            errors.append(f"the indexes of records {opcode:#04x} do not name just those")


def check_summary_crc(data, errors):
    footer_at = len(data) - MAGIC_BYTES - FOOTER_BYTES
    opcode, length, summary_start, _, crc = struct.unpack_from("<BQQQI", data, footer_at)
    if opcode != 0x02 or length != FOOTER_BYTES - 9:
        errors.append("the file does not end with a footer")
    elif crc and zlib.crc32(data[summary_start or footer_at : footer_at + FOOTER_BYTES - 4]) != crc:
        errors.append("the summary's CRC is wrong")


def validate(data, ordered=True, summary=True):
    errors = []
    report = {"bytes": len(data), "errors": errors}
    try:
        contents = Contents(data, errors)
        if ordered and contents.disordered:
            errors.append(f"{contents.disordered} messages are earlier than the one before")
        check_summary_crc(data, errors)
        if summary:
            check_summary(data, contents, errors)
        report.update(
            messages=sum(contents.per_channel.values()),
            digest=contents.digest.hexdigest(),
            start=contents.start,
            end=contents.end,
            topics=dict(sorted(contents.topics.items())),
            profile=contents.profile,
            metadata=contents.metadata,
            chunks=contents.chunks,
            compressions=sorted(contents.compressions),
        )
    except Exception as error:  # whatever a reader makes of broken bytes is a verdict
        errors.append(f"{type(error).__name__}: {error}")
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a path or an http(s) URL")
    parser.add_argument("--token", help="a bearer token for the URL")
    parser.add_argument("--unordered", action="store_true", help="do not check the order")
    parser.add_argument("--no-summary", action="store_true", help="do not ask for a summary")
    args = parser.parse_args()
    data = load(args.source, args.token)
    report = validate(data, ordered=not args.unordered, summary=not args.no_summary)
    print(json.dumps(report))
    return 1 if report["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
