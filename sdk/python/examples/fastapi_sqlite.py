"""A data backend over SQLite, with FastAPI: signals of recordings as JSON messages.

    pip install remote-data-loader-backend fastapi uvicorn
    python fastapi_sqlite.py signals.db

The database has a table ``signals(recording TEXT, time INTEGER, signal TEXT, value REAL)``, times in
nanoseconds since the Unix epoch. To serve your own store, change the two queries.
"""

import argparse
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import islice
from typing import Annotated, Any
from urllib.parse import quote

import uvicorn
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from remote_data_loader_backend import (
    Bearer,
    ChannelSet,
    ErrorReply,
    Manifest,
    MessageType,
    TimeSlice,
    async_body,
    source_id,
    time_slices,
)

SIGNAL = MessageType.json_schema("Signal", '{"type":"object","properties":{"value":{"type":"number"}}}')
# Ten seconds make one source: whoever seeks loads little.
SLICE = timedelta(seconds=10)
# As many sources as the loader takes. More come of a row whose time was never set.
MOST_SLICES = 10_000
# A time in nanoseconds since the Unix epoch, as SQLite can hold it.
Nanos = Annotated[int, Query(ge=0, lt=2**63)]


def slices(start: int, end: int) -> list[TimeSlice]:
    found = list(islice(time_slices(start, end, SLICE), MOST_SLICES + 1))
    if len(found) > MOST_SLICES:
        raise ErrorReply(500, "the times of this recording cannot be")
    return found


def backend(database: str, token: str | None = None) -> FastAPI:
    """The backend over this database; with a token, only for whoever has it."""

    def connect() -> sqlite3.Connection:
        # The rows of one response may be read on several threads, one after the other.
        return sqlite3.connect(f"file:{quote(database)}?mode=ro", uri=True, check_same_thread=False)

    def signed_in(request: Request) -> None:
        if token is not None and not Bearer.from_headers(request.headers).is_(token):
            raise ErrorReply.unauthorized("the token is not valid: sign in again")

    def channels_of(connection: sqlite3.Connection, recording: str) -> ChannelSet:
        """The same channels for the manifest and for the data."""
        channels = ChannelSet()
        query = "SELECT DISTINCT signal FROM signals WHERE recording = ? ORDER BY signal"
        for (signal,) in connection.execute(query, [recording]):
            channels.add(f"/{signal}", SIGNAL)
        if not channels:
            raise ErrorReply.not_found(f"there is no recording {recording!r}")
        return channels

    app = FastAPI(dependencies=[Depends(signed_in)])

    @app.exception_handler(ErrorReply)
    def refuse(_: Request, error: ErrorReply) -> Response:
        return Response(error.body, error.status, error.headers)

    @app.exception_handler(RequestValidationError)
    def explain(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return refuse(request, ErrorReply.bad_request(f"{first['loc'][-1]}: {first['msg']}"))

    @app.get("/manifest")
    def manifest(recording: str) -> Response:
        with closing(connect()) as connection:
            channels = channels_of(connection, recording)
            query = "SELECT min(time), max(time) FROM signals WHERE recording = ?"
            start, end = connection.execute(query, [recording]).fetchone()
        sources = [
            channels.source(
                f"/data?recording={quote(recording, safe='')}&start={part.start}&end={part.end}",
                *part,
                id=source_id("v1", recording, *part),
            )
            for part in slices(start, end)
        ]
        return Response(Manifest(sources, name=recording).to_json(), media_type="application/json")

    @app.get("/data")
    def data(recording: str, start: Nanos, end: Nanos) -> Response:
        with closing(connect()) as connection:
            channels = channels_of(connection, recording)

        def messages() -> Iterator[Any]:
            with closing(connect()) as connection:
                query = """SELECT time, signal, value FROM signals
                    WHERE recording = ? AND time BETWEEN ? AND ? ORDER BY time, signal"""
                for time, signal, value in connection.execute(query, [recording, start, end]):
                    data = json.dumps({"value": value}, separators=(",", ":"), allow_nan=False).encode()
                    yield channels.channel(f"/{signal}"), time, data

        # Rows are read when the loader has taken what came before them, on a thread that may wait.
        pieces = async_body(channels, messages(), start=start, end=end)
        return StreamingResponse(pieces, media_type="application/octet-stream")

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A data backend over SQLite.")
    parser.add_argument("database")
    parser.add_argument("--address", default="127.0.0.1:8081", help="host:port; port 0 is any that is free")
    parser.add_argument("--token", help="the bearer token that requests must have")
    asked = parser.parse_args()
    host, _, port = asked.address.rpartition(":")
    with socket.create_server((host, int(port))) as listener:
        print(f"listening on http://{host}:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(backend(asked.database, asked.token), log_level="warning")
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
