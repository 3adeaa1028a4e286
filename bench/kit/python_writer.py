"""What it costs to write MCAP from Python: this kit beside Foxglove's own SDK, in one run.

Prints a line of JSON for each: what, bytes (of the messages' data), messages, cpu_seconds (of the
whole process, all threads). Needs remote-data-loader-backend, built with `maturin build --release`,
and foxglove-sdk.

    python bench/kit/python_writer.py [--megabytes 1000] [--only small]
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

LARGE_BYTES = 100_000
SMALL_BYTES = 60
COMPRESSIONS = ("none", "lz4")
CHUNK_BYTES = 1 << 20


def workloads(megabytes):
    """The data of the messages, in order, and how many bytes and messages that is."""
    source = random.Random(7)
    # Half of it can be compressed, as with real data; together more than a CPU's caches hold.
    large = [source.randbytes(LARGE_BYTES // 2) + bytes(LARGE_BYTES // 2) for _ in range(500)]
    small = [b'{"x":%08d,"y":%08d,"name":"a wheel of a robot","ok":true}' % (n, n * 7) for n in range(1000)]
    small = [data[:SMALL_BYTES].ljust(SMALL_BYTES) for data in small]
    larges = megabytes * 1_000_000 // LARGE_BYTES
    smalls = megabytes * 1_000
    yield "large", [large[n % 500] for n in range(larges)]
    yield "small", [small[n % 1000] for n in range(smalls)]
    yield "mixed", [large[n % 500] if n % 100 == 0 else small[n % 1000] for n in range(smalls // 2)]


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
    parser.add_argument("--megabytes", type=int, default=1000, help="of large messages; the others follow from it")
    parser.add_argument("--only", choices=["large", "small", "mixed"])
    asked = parser.parse_args()
    writers = {"BodyWriter": with_writer, "body": with_body, "async_body": with_async_body}
    if foxglove is not None:
        writers["foxglove-sdk"] = with_foxglove
    for workload, messages in workloads(asked.megabytes):
        if asked.only not in (None, workload):
            continue
        total = sum(map(len, messages))
        for compression in COMPRESSIONS:
            for name, write in writers.items():
                # The allocator has to learn what it is asked for.
                write(messages[: len(messages) // 10], compression)
                began = time.process_time()
                written = write(messages, compression)
                cpu_seconds = time.process_time() - began
                assert written > total // 100, f"{name} wrote {written} bytes"
                line = {
                    "what": f"{name}, {workload}, {compression}",
                    "bytes": total,
                    "messages": len(messages),
                    "cpu_seconds": round(cpu_seconds, 4),
                }
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
