"""A data backend over CSV files, with Python's own ``http.server``: signals as JSON messages.

    pip install remote-data-loader-backend
    python http_server_csv.py recordings/

Each recording is a file ``<recording>.csv`` with the columns ``time,signal,value``, sorted by time
(nanoseconds since the Unix epoch) and signal. Files are read row by row, however long they are.
"""

import argparse
import csv
import functools
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import islice
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from remote_data_loader_backend import (
    Bearer,
    ChannelSet,
    ErrorReply,
    Manifest,
    MessageType,
    TimeSlice,
    body,
    source_id,
    time_slices,
)

SIGNAL = MessageType.json_schema("Signal", '{"type":"object","properties":{"value":{"type":"number"}}}')
# Ten seconds make one source: whoever seeks loads little.
SLICE = timedelta(seconds=10)
# As many sources as the loader takes. More come of a row whose time was never set.
MOST_SLICES = 10_000


def slices(start: int, end: int) -> list[TimeSlice]:
    found = list(islice(time_slices(start, end, SLICE), MOST_SLICES + 1))
    if len(found) > MOST_SLICES:
        raise ErrorReply(500, "the times of this recording cannot be")
    return found


class Recording(NamedTuple):
    """What is known of a file after reading it once."""

    channels: ChannelSet
    start: int
    end: int


def rows(path: Path) -> Iterator[tuple[int, str, float]]:
    """The rows of a file, one at a time."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield int(row["time"]), row["signal"], float(row["value"])


@functools.lru_cache(maxsize=100)
def look_through(path: Path, _modified: int) -> Recording:
    """What a file holds; it is read again when it was modified."""
    signals: set[str] = set()
    start, end = None, 0
    for end, signal, _ in rows(path):
        start = end if start is None else start
        signals.add(signal)
    if start is None:
        raise ErrorReply.not_found(f"the recording {path.stem!r} is empty")
    channels = ChannelSet()
    for signal in sorted(signals):
        channels.add(f"/{signal}", SIGNAL)
    return Recording(channels, start, end)


def messages(path: Path, channels: ChannelSet, start: int, end: int) -> Iterator[Any]:
    """The messages of a slice, both ends included."""
    for time, signal, value in rows(path):
        if time > end:
            break
        if time >= start:
            data = json.dumps({"value": value}, separators=(",", ":"), allow_nan=False).encode()
            yield channels.channel(f"/{signal}"), time, data


class Handler(BaseHTTPRequestHandler):
    """The manifest endpoint and the data endpoint."""

    # Chunked bodies, whose end cannot be mistaken, came with it.
    protocol_version = "HTTP/1.1"
    folder: Path
    token: str | None

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parameters = {name: values[-1] for name, values in parse_qs(url.query).items()}
        try:
            if self.request_version == "HTTP/1.0":
                raise ErrorReply(505, "HTTP/1.1 is needed: with 1.0 nobody can tell an abort from an end")
            if self.token is not None and not Bearer.from_headers(self.headers).is_(self.token):
                raise ErrorReply.unauthorized("the token is not valid: sign in again")
            if url.path == "/manifest":
                self.manifest(parameters)
            elif url.path == "/data":
                self.data(parameters)
            else:
                raise ErrorReply.not_found("there are /manifest and /data")
        except ErrorReply as error:
            self.answer(error.status, error.headers, error.body)

    def manifest(self, parameters: dict[str, str]) -> None:
        name = wanted(parameters, "recording")
        _, recording = self.recording(name)
        sources = [
            recording.channels.source(
                f"/data?recording={quote(name, safe='')}&start={part.start}&end={part.end}",
                *part,
                id=source_id("v1", name, *part),
            )
            for part in slices(recording.start, recording.end)
        ]
        manifest = Manifest(sources, name=name).to_json().encode()
        self.answer(200, {"content-type": "application/json"}, manifest)

    def data(self, parameters: dict[str, str]) -> None:
        path, recording = self.recording(wanted(parameters, "recording"))
        try:
            start, end = int(wanted(parameters, "start")), int(wanted(parameters, "end"))
            found = messages(path, recording.channels, start, end)
            pieces = body(recording.channels, found, start=start, end=end)
        except ValueError as error:
            raise ErrorReply.bad_request(f"start and end are times in nanoseconds: {error}") from None
        with closing(pieces):
            self.stream(pieces)

    def recording(self, name: str) -> tuple[Path, Recording]:
        """The file of a recording, and what it holds."""
        path = self.folder / f"{name}.csv"
        # A name like ../secrets would lead out of the folder.
        if path.name != f"{name}.csv" or not path.is_file():
            raise ErrorReply.not_found(f"there is no recording {name!r}")
        return path, look_through(path, path.stat().st_mtime_ns)

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, pieces: Iterator[bytes]) -> None:
        """Sends a body whose length nobody knows yet. ``write`` waits while the loader is behind."""
        self.send_response(200)
        self.send_header("content-type", "application/octet-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for piece in pieces:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            # The loader has left: closing the body ends the work.
            self.close_connection = True
        except Exception as error:
            # Without the last chunk the loader knows that the body is not whole, and asks again.
            self.log_error("aborted: %s", error)
            self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: query strings may hold secrets."""


def wanted(parameters: dict[str, str], name: str) -> str:
    """A parameter that has to be there."""
    if name not in parameters:
        raise ErrorReply.bad_request(f"the parameter {name} is missing")
    return parameters[name]


def main() -> None:
    parser = argparse.ArgumentParser(description="A data backend over CSV files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", default="127.0.0.1:8081", help="host:port; port 0 is any that is free")
    parser.add_argument("--token", help="the bearer token that requests must have")
    asked = parser.parse_args()
    host, _, port = asked.address.rpartition(":")
    Handler.folder, Handler.token = asked.folder, asked.token
    with ThreadingHTTPServer((host, int(port)), Handler) as server:
        print(f"listening on http://{host}:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
