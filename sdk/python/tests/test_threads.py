"""The interpreter is free while chunks are compressed."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Declared
from remote_data_loader_backend import BackendError, BodyWriter, body

# A twentieth of a second's work, at least.
DATA = b"".join(n.to_bytes(4, "big") for n in range(8_000_000))


def writing(declared: Declared) -> Callable[[], Any]:
    writer = BodyWriter(declared.channels, compression="zstd")
    return lambda: writer.write(declared.a, 1, DATA)


def flushing(declared: Declared) -> Callable[[], Any]:
    writer = BodyWriter(declared.channels, compression="zstd", chunk_bytes=1 << 30)
    writer.write(declared.a, 1, DATA)
    return writer.flush


def finishing(declared: Declared) -> Callable[[], Any]:
    writer = BodyWriter(declared.channels, compression="zstd", chunk_bytes=1 << 30)
    writer.write(declared.a, 1, DATA)
    return writer.finish


def pulling(declared: Declared) -> Callable[[], Any]:
    pieces = body(declared.channels, [(declared.a, 1, DATA)], compression="zstd")
    return lambda: next(pieces)


@pytest.mark.parametrize("prepare", [writing, flushing, finishing, pulling])
def test_another_thread_goes_on(declared: Declared, prepare: Any) -> None:
    compress = prepare(declared)
    span: list[float] = []

    def run() -> None:
        span.append(time.monotonic())
        compress()
        span.append(time.monotonic())

    thread = threading.Thread(target=run)
    ticks = []
    thread.start()
    while thread.is_alive():
        ticks.append(time.monotonic())
        time.sleep(0.001)
    thread.join()
    began, ended = span
    # What happens at the ends proves nothing.
    margin = (ended - began) / 10
    meanwhile = [tick for tick in ticks if began + margin < tick < ended - margin]
    assert len(meanwhile) > 10, f"{len(meanwhile)} ticks in {ended - began:.3f} s"


def test_two_threads_do_not_write_one_body(declared: Declared) -> None:
    writer = BodyWriter(declared.channels, compression="zstd")
    thread = threading.Thread(target=lambda: writer.write(declared.a, 1, DATA))
    thread.start()
    refused = 0
    while thread.is_alive():
        try:
            _ = writer.last_time
        except BackendError as error:
            assert "one writes at a time" in str(error)
            refused += 1
        time.sleep(0.001)
    thread.join()
    assert refused > 0
    writer.finish()
