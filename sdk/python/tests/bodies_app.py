"""A server whose bodies fail, are refused or never end, and which says what became of them.

    python bodies_app.py    prints where it listens
"""

import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from remote_data_loader_backend import ChannelSet, MessageType, async_body, body

channels = ChannelSet()
channel = channels.add("/a", MessageType.schemaless_json())
app = FastAPI()
state = {"taken": 0, "closed": 0}


def messages(how: str) -> Iterator[Any]:
    state.update(taken=0, closed=0)
    try:
        for at in itertools.count():
            if how == "whole" and at == 3000:
                return
            if how == "failing" and at == 3000:
                raise OSError("the disk is gone")
            state["taken"] += 1
            yield channel, 0 if how == "disordered" and at == 3000 else at, bytes(1000)
    finally:
        state["closed"] += 1


async def asynchronous(how: str) -> AsyncIterator[Any]:
    # Not closed by hand: the body closes this generator, and with it goes that one.
    for message in messages(how):
        yield message


@app.get("/state")
def tell() -> dict[str, int]:
    return state


@app.get("/{kind}/{how}")
async def data(kind: str, how: str) -> StreamingResponse:
    pieces: Any
    if kind == "body":
        pieces = body(channels, messages(how), compression="none")
    else:
        found = asynchronous(how) if kind == "async" else messages(how)
        pieces = async_body(channels, found, compression="none")
    return StreamingResponse(pieces, media_type="application/octet-stream")


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="critical")).run([listener])
