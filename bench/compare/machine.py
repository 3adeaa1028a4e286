"""Processes on this machine: starting them, and what they cost."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.parse
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "target" / "bench-data"
PATIENCE = 60.0
# Where the loader, `generate` and `digest` are.
binaries = ROOT / "target" / "release"
OP_CHUNK = 0x06


def versitygw_version():
    """That of the S3 server which the Makefile builds."""
    return re.search(r"VERSITYGW_VERSION := v(\S+)", (ROOT / "Makefile").read_text())[1]


def free_port():
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Process:
    """A running program. `cpu_seconds` and `peak_mib` are of that process alone."""

    def __init__(self, command, environment=None, **options):
        environment = {**os.environ, **(environment or {})}
        self.child = subprocess.Popen(command, env=environment, **options)

    def cpu_seconds(self):
        stat = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Nginx(Process):
    """Serves a folder, in one process."""

    def __init__(self, folder, state, sendfile):
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        self.port = free_port()
        self.log = state / f"access-{self.port}.log"
        configuration = state / f"nginx-{self.port}.conf"
        configuration.write_text(
            f"""daemon off; master_process off; pid {state}/nginx-{self.port}.pid;
            error_log {state}/nginx-{self.port}.err;
            events {{ worker_connections 2048; }}
            http {{
              access_log {self.log}; sendfile {"on" if sendfile else "off"}; tcp_nopush off;
              client_body_temp_path {state}; proxy_temp_path {state}; fastcgi_temp_path {state};
              uwsgi_temp_path {state}; scgi_temp_path {state};
              default_type application/octet-stream; output_buffers 2 256k;
              keepalive_requests 1000000;
              server {{ listen 127.0.0.1:{self.port}; root {folder}; }}
            }}"""
        )
        super().__init__([binary, "-p", str(state), "-c", str(configuration)])
        self.url = f"http://127.0.0.1:{self.port}"
        wait_for(self.port)

    def requests(self, ending):
        """How often each path with this ending was asked for."""
        counts = {}
        for line in self.log.read_text().splitlines():
            path = line.split('"')[1].split()[1]
            if path.endswith(ending):
                counts[path] = counts.get(path, 0) + 1
        return counts

    def sent_bytes(self, ending):
        """How much it sent of the paths with this ending, heads not counted."""
        sent = 0
        for line in self.log.read_text().splitlines():
            _, request, told, *_ = line.split('"')
            if request.split()[1].endswith(ending):
                sent += int(told.split()[1])
        return sent


class Loader(Process):
    """The loader, with a cold cache of its own, on the recording of a manifest."""

    def __init__(self, manifest, state, **settings):
        self.cache = state / f"cache-{free_port()}"
        environment = {
            "ADDRESS": "127.0.0.1:0",
            "PROMETHEUS_ADDRESS": "127.0.0.1:0",
            "DISABLE_AUTH": "true",
            "ALLOW_HTTP_SOURCES": "true",
            "MANIFEST_ENDPOINT": manifest,
            "REQUEST_CACHE_DISK_FOLDER": str(self.cache),
            "RUST_LOG": "warn",
            **settings,
        }
        command = [str(binaries / "remote-data-loader"), "serve"]
        super().__init__(command, environment, stdout=subprocess.PIPE, text=True)
        self.url = self.child.stdout.readline().split()[-1]
        address = urllib.parse.urlsplit(self.url)
        wait_for(address.port)

    def stream(self, **query):
        query = {"ds.recording": "bench", **query}
        return f"{self.url}/v1/stream?{urllib.parse.urlencode(query)}"

    def file(self):
        """The URL of the recording as one file: of exactly one once all of it is known."""
        with urllib.request.urlopen(f"{self.url}/v1/recording?ds.recording=bench") as told:
            return self.url + json.load(told)["links"]["file"]

    def stop(self):
        super().stop()
        self.child.stdout.close()
        shutil.rmtree(self.cache, ignore_errors=True)


def wait_for(port):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class Answer:
    """What came for a request: `seconds` in all, `first_message` until the data of the first chunk
    (its beginning, or all of it with `whole_chunk`), and `bytes`."""

    def __init__(self):
        self.bytes = 0
        self.seconds = None
        self.first_message = None


def ask(url, connection=None, whole_chunk=False, sink=None):
    """Asks and reads to the end."""
    address = urllib.parse.urlsplit(url)
    mine = connection or http.client.HTTPConnection(address.hostname, address.port)
    answer, head, wanted = Answer(), bytearray(), None
    start = time.monotonic()
    mine.request("GET", f"{address.path}?{address.query}" if address.query else address.path)
    response = mine.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{url}: {response.status} {response.read(500)}")
    while piece := response.read1(1 << 20):
        answer.bytes += len(piece)
        if sink is not None:
            sink.write(piece)
        if answer.first_message is None:
            head += piece
            if wanted is None:
                wanted = first_chunk(head, whole_chunk)
            if wanted is not None and len(head) >= wanted:
                answer.first_message = time.monotonic() - start
                head = None
    answer.seconds = time.monotonic() - start
    if connection is None:
        mine.close()
    return answer


def first_chunk(head, whole):
    """How much of a stream has the first chunk's first data, or all of it; `None` before that is
    known. See https://mcap.dev/spec."""
    at = 8
    while at + 9 <= len(head):
        op, length = struct.unpack_from("<BQ", head, at)
        if op == OP_CHUNK:
            # Behind times, size, CRC, compression and length comes the first message.
            return at + 9 + (length if whole else min(length, 100))
        at += 9 + length
    return None


def ask_all(urls):
    """Asks all at once, each in a curl of its own."""
    command = ["curl", "-sS", "--fail", "-o", "/dev/null"]
    children = [subprocess.Popen([*command, url]) for url in urls]
    if any([child.wait() for child in children]):
        raise RuntimeError("an answer broke off")


def measured(command, **options):
    """Runs a program; its CPU seconds, its wall seconds, and its peak in MiB."""
    start = time.monotonic()
    child = subprocess.Popen(command, **options)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{command[0]} failed with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss / 1024


def bare_send(count):
    """The CPU seconds that a process needs to send so many bytes from memory over loopback."""
    server = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        piece = memoryview(bytes(256 << 10))
        before = resource.getrusage(resource.RUSAGE_SELF)
        with socket.create_connection(server.getsockname()) as out:
            left = count
            while left > 0:
                out.sendall(piece[: min(left, len(piece))])
                left -= len(piece)
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        pathlib.Path(f"/tmp/bare-send-{os.getpid()}").write_text(str(spent))
        os._exit(0)
    taken, _ = server.accept()
    buffer = bytearray(1 << 20)
    while taken.recv_into(buffer):
        pass
    taken.close()
    server.close()
    os.waitpid(child, 0)
    result = pathlib.Path(f"/tmp/bare-send-{child}")
    spent = float(result.read_text())
    result.unlink()
    return spent


@contextlib.contextmanager
def sink():
    """Takes whatever one connection after the other sends; its HOST:PORT."""
    server = socket.create_server(("127.0.0.1", 0))

    def take():
        buffer = bytearray(1 << 20)
        with contextlib.suppress(OSError):
            while True:
                taken, _ = server.accept()
                with taken:
                    while taken.recv_into(buffer):
                        pass

    threading.Thread(target=take, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def digest_of(url):
    """The digest of what a URL answers, by a reader that is not the loader's."""
    reader = subprocess.Popen(
        [str(binaries / "digest"), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    said = []
    drain = threading.Thread(target=lambda: said.append(reader.stdout.read()))
    drain.start()
    with reader.stdin:
        ask(url, sink=reader.stdin)
    drain.join()
    if reader.wait() != 0:
        raise RuntimeError(f"{url} is no whole MCAP")
    return said[0].decode().strip()
