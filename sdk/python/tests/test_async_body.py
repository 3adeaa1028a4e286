"""Bodies on asyncio."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from conftest import Declared, is_whole
from remote_data_loader_backend import BackendError, WriteError, async_body, body

KILOBYTE = bytes(1000)


async def slowly(messages: Any) -> AsyncIterator[Any]:
    for message in messages:
        if message[1] % 10 == 0:
            await asyncio.sleep(0)
        yield message


async def collected(pieces: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in pieces]


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_all_ways_give_the_same_bytes(declared: Declared, compression: Any) -> None:
    messages = [(declared.a, at, KILOBYTE) for at in range(100)]
    options: Any = {"compression": compression, "chunk_bytes": 10_000}
    wanted = b"".join(body(declared.channels, messages, **options))
    assert is_whole(wanted)
    for source in (messages, iter(messages), slowly(messages)):
        found = asyncio.run(collected(async_body(declared.channels, source, **options)))
        assert b"".join(found) == wanted
        assert len(found) == 11
    nothings: list[Any] = [[], slowly([])]
    for nothing in nothings:
        found = asyncio.run(collected(async_body(declared.channels, nothing)))
        assert b"".join(found) == b"".join(body(declared.channels, []))


class Source:
    """Messages without end, asynchronous ones or others, that say what becomes of them."""

    def __init__(self, declared: Declared, fails_at: int | None = None, waits_at: int | None = None) -> None:
        self.declared, self.fails_at, self.waits_at = declared, fails_at, waits_at
        self.taken = self.closed = 0
        self.waiting, self.go_on = threading.Event(), threading.Event()

    def _message(self, at: int) -> Any:
        if at == self.fails_at:
            raise OSError("the disk is gone")
        self.taken += 1
        return self.declared.a, at, KILOBYTE

    async def asynchronous(self) -> AsyncIterator[Any]:
        try:
            for at in itertools.count():
                if at == self.waits_at:
                    self.waiting.set()
                    await asyncio.Event().wait()
                yield self._message(at)
        finally:
            self.closed += 1

    def blocking(self) -> Iterator[Any]:
        try:
            for at in itertools.count():
                if at == self.waits_at:
                    self.waiting.set()
                    self.go_on.wait(20)
                yield self._message(at)
        finally:
            self.closed += 1

    def messages(self, kind: str) -> Any:
        return self.asynchronous() if kind == "async" else self.blocking()


KINDS = pytest.mark.parametrize("kind", ["async", "blocking"])


@KINDS
def test_an_exception_comes_out_in_place_of_the_end(declared: Declared, kind: str) -> None:
    async def run() -> None:
        source = Source(declared, fails_at=25)
        pieces, taken = async_body(declared.channels, source.messages(kind), chunk_bytes=10_000), []
        with pytest.raises(OSError, match="the disk is gone"):
            async for piece in pieces:
                taken.append(piece)
        assert len(taken) == 2 and source.closed == 1 and not is_whole(b"".join(taken))
        for _ in range(2):
            with pytest.raises(BackendError):
                await anext(pieces)

    asyncio.run(run())


@KINDS
@pytest.mark.parametrize("at", [5, 9])
def test_a_refusal_comes_out_in_place_of_the_end(declared: Declared, kind: str, at: int) -> None:
    # The fifth message joins a chunk, and the ninth closes one.
    messages: Any = [(declared.a, 100 - at if n == at else n, KILOBYTE) for n in range(at + 1)]
    messages[at] = (declared.a, 0, KILOBYTE)

    async def run() -> None:
        source = slowly(messages) if kind == "async" else messages
        pieces = async_body(declared.channels, source, chunk_bytes=10_000)
        with pytest.raises(WriteError) as refused:
            await collected(pieces)
        assert refused.value.name == "out-of-order"
        with pytest.raises(BackendError):
            await anext(pieces)

    asyncio.run(run())


@KINDS
def test_no_message_is_asked_for_before_its_turn(declared: Declared, kind: str) -> None:
    async def run() -> None:
        source = Source(declared)
        pieces = async_body(declared.channels, source.messages(kind), chunk_bytes=10_000)
        await asyncio.sleep(0.01)
        assert source.taken == 0
        await anext(pieces)
        await asyncio.sleep(0.01)
        assert source.taken == 10
        await pieces.aclose()
        await pieces.aclose()
        assert source.closed == 1
        with pytest.raises(BackendError, match="closed"):
            await anext(pieces)

    asyncio.run(run())


@KINDS
def test_a_cancelled_body_closes_its_messages(declared: Declared, kind: str) -> None:
    async def run() -> None:
        source = Source(declared, waits_at=15)
        pieces = async_body(declared.channels, source.messages(kind), chunk_bytes=10_000)
        reading = asyncio.create_task(collected(pieces))
        while not source.waiting.is_set():
            await asyncio.sleep(0.001)
        reading.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await reading
        # Not even a store that answers nothing holds up whoever was cancelled.
        assert time.monotonic() - began < 5
        source.go_on.set()
        while not source.closed:
            await asyncio.sleep(0.001)
        # The message that it waited for, and none behind it.
        assert source.taken <= 16
        with pytest.raises(BackendError):
            await anext(pieces)

    asyncio.run(asyncio.wait_for(run(), 30))


@KINDS
def test_the_event_loop_goes_on_while_a_chunk_is_compressed(declared: Declared, kind: str) -> None:
    # A twentieth of a second's work, at least.
    data = b"".join(n.to_bytes(4, "big") for n in range(8_000_000))
    messages = [(declared.a, 1, data)]

    async def run() -> None:
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.01)
        ticks.clear()
        source = slowly(messages) if kind == "async" else messages
        began = time.monotonic()
        pieces = await collected(async_body(declared.channels, source, compression="zstd"))
        took = time.monotonic() - began
        ticking.cancel()
        assert is_whole(b"".join(pieces))
        gaps = [later - earlier for earlier, later in itertools.pairwise([began, *ticks, began + took])]
        print(f"compressing took {took:.3f} s; the loop stood still for {max(gaps):.3f} s at most")
        assert len(ticks) > 10 and max(gaps) < took / 2

    asyncio.run(run())
