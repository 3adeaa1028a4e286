"""What it costs to write MCAP from Python: this kit beside Foxglove's own SDK, in one run.

The messages of bench/src/bin/kit.rs, and the same lines of JSON; CPU seconds are those of the
whole process, all threads. Needs remote-data-loader-backend, built with `maturin build --release`,
and foxglove-sdk.

    python bench/kit/python_writer.py [--bytes 500000000] [--runs 1]
"""

import argparse
import asyncio
import io
import json
import random
import time

from remote_data_loader_backend import BodyWriter, ChannelSet, MessageType, async_body, body

try:
    import foxglove
    from foxglove.mcap import MCAPCompression, MCAPWriteOptions
except ImportError:
    foxglove = None

# Their sizes, again and again, in bytes.
SHAPES = {
    "large": [100_000],
    "mixed": [300_000, 200, 60, 1000, 120_000, 200, 60, 4000, 200, 60, 24, 200],
    "small": [64],
}
COMPRESSIONS = ("none", "lz4")
CHUNK_BYTES = 1 << 20


def workloads(total):
    """The data of the messages, in order: parts of a MiB of noise, cut out before anything is timed."""
    noise = random.Random(7).randbytes(1 << 20)
    for workload, sizes in SHAPES.items():
        # As many different ones as would be kept of anything.
        parts = []
        for place in range(1200):
            size = sizes[place % len(sizes)]
            start = place * 4099 % (len(noise) - size)
            parts.append(noise[start : start + size])
        messages = []
        while total > sum_of(sizes, len(messages)):
            messages.append(parts[len(messages) % len(parts)])
        yield workload, messages


def sum_of(sizes, count):
    whole, rest = divmod(count, len(sizes))
    return whole * sum(sizes) + sum(sizes[:rest])


class Nowhere(io.RawIOBase):
    """Takes everything, keeps nothing."""

    def __init__(self):
        super().__init__()
        self.at = self.end = 0

    def writable(self):
        return True

    def seekable(self):
        return True

    def write(self, data):
        self.at += len(data)
        self.end = max(self.end, self.at)
        return len(data)

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.end}[whence]
        return self.at


def kit():
    channels = ChannelSet()
    return channels, channels.add("/data", MessageType.schemaless_json())


def with_writer(messages, compression):
    channels, channel = kit()
    writer = BodyWriter(channels, compression=compression, chunk_bytes=CHUNK_BYTES)
    sent = 0
    for at, data in enumerate(messages):
        writer.write(channel, at, data)
        if writer.is_ready:
            sent += sum(map(len, writer.take()))
    writer.finish()
    return sent + sum(map(len, writer.take()))


def with_body(messages, compression):
    channels, channel = kit()
    found = ((channel, at, data) for at, data in enumerate(messages))
    return sum(map(len, body(channels, found, compression=compression, chunk_bytes=CHUNK_BYTES)))


def with_async_body(messages, compression):
    channels, channel = kit()

    async def found():
        for at, data in enumerate(messages):
            yield channel, at, data

    async def read():
        pieces = async_body(channels, found(), compression=compression, chunk_bytes=CHUNK_BYTES)
        return sum([len(piece) async for piece in pieces])

    return asyncio.run(read())


def with_foxglove(messages, compression):
    context = foxglove.Context()
    sink = Nowhere()
    options = MCAPWriteOptions(
        compression={"none": None, "lz4": MCAPCompression.Lz4}[compression], chunk_size=CHUNK_BYTES
    )
    with foxglove.open_mcap(sink, context=context, writer_options=options):
        channel = foxglove.Channel("/data", message_encoding="json", context=context)
        for at, data in enumerate(messages):
            channel.log(data, log_time=at)
    return sink.end


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=500_000_000, help="of messages, each time")
    parser.add_argument("--runs", type=int, default=1)
    asked = parser.parse_args()
    writers = {"kit, Python, BodyWriter": with_writer, "kit, Python, body": with_body}
    writers["kit, Python, async_body"] = with_async_body
    if foxglove is not None:
        writers["foxglove, Python"] = with_foxglove
    for workload, messages in workloads(asked.bytes):
        total = sum(map(len, messages))
        for _ in range(asked.runs):
            for compression in COMPRESSIONS:
                for name, write in writers.items():
                    # The allocator has to learn what it is asked for.
                    write(messages[: len(messages) // 10], compression)
                    began = time.process_time()
                    written = write(messages, compression)
                    cpu_seconds = time.process_time() - began
                    assert written > total // 100, f"{name} wrote {written} bytes"
                    line = {
                        "what": workload,
                        "writer": name,
                        "compression": compression,
                        "bytes": total,
                        "messages": len(messages),
                        "cpu_seconds": cpu_seconds,
                    }
                    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
