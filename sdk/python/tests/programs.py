"""Programs under test, and what a reader of theirs does."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    """A server that runs."""

    process: "subprocess.Popen[str]"
    host: str
    port: int

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Raises http.client.IncompleteRead where the body is cut off."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def open_files(self) -> list[str]:
        """The files that it has open."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        found: list[str] = []
        for entry in folder.iterdir():
            try:
                found.append(os.readlink(entry))
            except FileNotFoundError:
                continue
        return found


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    """Runs a program of Python that says where it listens."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        said, _, address = line.strip().rpartition(" http://")
        assert said == "listening on", f"it said {line!r}"
        host, _, port = address.rpartition(":")
        yield Program(process, host, int(port))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def slow_reader(program: Program, path: str) -> Iterator[socket.socket]:
    """A reader that takes the head of an answer, little more, and leaves."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.settimeout(30)
    reader.connect((program.host, program.port))
    try:
        reader.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert reader.recv(1000).startswith(b"HTTP/1.1 200")
        yield reader
    finally:
        reader.close()


def eventually(true: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.01)
    return False
