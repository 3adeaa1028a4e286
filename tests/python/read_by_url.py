"""Reads MCAPs by their URLs, as users of these libraries would.

    read_by_url.py fsspec|daft (<URL> <from> <to> <topic>)...

Times are in nanoseconds; both are in the window. Prints a JSON object for each URL, in an array: the
messages of the whole file, of the window and of the topic, in the order in which the library gives
them, each as a line `log time, publish time, sequence, topic, SHA-256 of the data`.
"""

import ast
import hashlib
import json
import sys


def line(log_time, publish_time, sequence, topic, data):
    return f"{log_time} {publish_time} {sequence} {topic} {hashlib.sha256(data).hexdigest()}"


def by_fsspec(url, start, end, topic):
    import fsspec
    from mcap.reader import make_reader

    with fsspec.filesystem("http").open(url, "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        statistics = reader.get_summary().statistics

        def messages(**selection):
            return [
                line(m.log_time, m.publish_time, m.sequence, channel.topic, m.data)
                for _, channel, m in reader.iter_messages(log_time_order=True, **selection)
            ]

        return {
            "counted": statistics.message_count,
            "all": messages(),
            "window": messages(starting_at=start, ending_at=end),
            "topic": messages(topics=[topic]),
        }


def by_daft(url, start, end, topic):
    import daft

    def messages(**selection):
        rows = daft.read_mcap(url, **selection).to_pylist()
        # It gives the data as Python prints bytes.
        return [
            line(
                row["log_time"],
                row["publish_time"],
                row["sequence"],
                row["topic"],
                ast.literal_eval(row["data"]),
            )
            for row in rows
        ]

    return {
        "all": messages(),
        # The end is not in it.
        "window": messages(start_time=start, end_time=end + 1),
        "topic": messages(topics=[topic]),
    }


if __name__ == "__main__":
    way, *arguments = sys.argv[1:]
    read = {"fsspec": by_fsspec, "daft": by_daft}[way]
    asked = zip(*[iter(arguments)] * 4, strict=True)
    seen = [read(url, int(start), int(end), topic) for url, start, end, topic in asked]
    json.dump(seen, sys.stdout)
