"""Other programs that merge MCAP files: `peers.py NAME OUT FILE...` in a process of its own."""

import heapq
import sys

NAMES = ("small-mcap", "mcap")


def small_mcap(out, files):
    """small-mcap: its reader merges several streams."""
    import small_mcap as library

    none = library.CompressionType.NONE
    writer = library.McapWriter(out, chunk_size=1 << 20, compression=none)
    writer.start()
    channels = {}
    for schema, channel, message in library.read_message(files):
        known = channels.get(channel.topic)
        if known is None:
            known = channels[channel.topic] = len(channels) + 1
            writer.add_schema(known, schema.name, schema.encoding, schema.data)
            encoding = channel.message_encoding
            writer.add_channel(known, channel.topic, encoding, known, channel.metadata)
        times = message.log_time, message.data, message.publish_time, message.sequence
        writer.add_message(known, *times)
    writer.finish()


def mcap(out, files):
    """The reference library, with a heap over its readers."""
    from mcap.reader import make_reader
    from mcap.writer import CompressionType, Writer

    writer = Writer(out, chunk_size=1 << 20, compression=CompressionType.NONE)
    writer.start()
    channels = {}
    streams = [make_reader(file).iter_messages() for file in files]
    for schema, channel, message in heapq.merge(*streams, key=lambda found: found[2].log_time):
        known = channels.get(channel.topic)
        if known is None:
            of = writer.register_schema(schema.name, schema.encoding, schema.data)
            known = writer.register_channel(
                channel.topic, channel.message_encoding, of, dict(channel.metadata)
            )
            channels[channel.topic] = known
        writer.add_message(
            known, message.log_time, message.data, message.publish_time, message.sequence
        )
    writer.finish()


def main():
    name, out, *files = sys.argv[1:]
    merge = {"small-mcap": small_mcap, "mcap": mcap}[name]
    with open(out, "wb") as target:
        merge(target, [open(file, "rb") for file in files])


if __name__ == "__main__":
    main()
