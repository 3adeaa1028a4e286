"""The example as a process: example_test.py BINARY. Needs the mcap package."""

import contextlib
import http.client
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

from mcap.reader import make_reader

BINARY = sys.argv[1]
START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
SCHEMA = b'{"type":"object","properties":{"value":{"type":"number"}}}'


def write(path, rows):
    with open(path, "w") as file:
        file.write("time,signal,value\n")
        file.writelines(f"{at},{signal},{value}\n" for at, signal, value in rows)


@contextlib.contextmanager
def started(folder, *arguments):
    command = [BINARY, folder, "--address", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline().strip()
        assert line.startswith("listening on http://127.0.0.1:"), line
        yield process, int(line.rsplit(":", 1)[1])
    finally:
        process.terminate()
        process.communicate(timeout=10)


def get(port, url, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", url, headers={"Authorization": f"Bearer {token}"} if token else {})
    response = connection.getresponse()
    try:
        return response, response.read()
    finally:
        connection.close()


def refused(port, url, status, words, token=None):
    response, body = get(port, url, token)
    message = response.getheader("x-foxglove-error-message")
    assert response.status == status, (url, response.status)
    assert words in message, (url, message)
    assert body.decode() == message
    assert (response.getheader("www-authenticate") == "Bearer") == (status == 401)


def waits(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def open_files(process, name):
    folder = f"/proc/{process.pid}/fd"
    found = 0
    for entry in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"{folder}/{entry}").endswith(name)
    return found


def resident_mib(process):
    with open(f"/proc/{process.pid}/status") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def whole_recording(folder):
    """All sources together have every row, in order."""
    values = random.Random(7)
    rows = [
        (START + step * SECOND // 10, signal, round(values.uniform(-9, 9), 3))
        for step in range(3, 350)
        for signal in ("speed", "temperature é")[: 2 if step % 3 == 0 else 1]
    ]
    write(f"{folder}/drive 7.csv", rows)
    # Without a newline at its end.
    with open(f"{folder}/short.csv", "w") as file:
        file.write("time,signal,value\n5,a,1.5\n7,b,-2.25")
    write(f"{folder}/empty.csv", [])
    with started(folder) as (_, port):
        response, body = get(port, "/manifest?recording=drive%207")
        assert response.status == 200 and response.getheader("content-type") == "application/json"
        manifest = json.loads(body)
        assert body.decode() == json.dumps(manifest, separators=(",", ":"), ensure_ascii=False)
        assert manifest["name"] == "drive 7" and len(manifest["sources"]) == 4
        first = manifest["sources"][0]
        begin, end = START + 3 * SECOND // 10, START + 10 * SECOND - 1
        assert first["url"] == f"/data?recording=drive%207&start={begin}&end={end}", first["url"]
        assert first["id"] == f"v1/drive%207/{begin}/{end}", first["id"]
        got = []
        for source in manifest["sources"]:
            assert [topic["name"] for topic in source["topics"]] == ["/speed", "/temperature é"]
            response, body = get(port, source["url"])
            assert response.getheader("transfer-encoding") == "chunked"
            times = urllib.parse.parse_qs(urllib.parse.urlsplit(source["url"]).query)
            for schema, channel, message in make_reader(io.BytesIO(body)).iter_messages():
                assert (schema.name, schema.encoding, schema.data) == ("Signal", "jsonschema", SCHEMA)
                assert int(times["start"][0]) <= message.log_time <= int(times["end"][0])
                assert message.publish_time == message.log_time and message.sequence == 0
                got.append((message.log_time, channel.topic, message.data.decode()))
        assert got == [(at, f"/{signal}", f'{{"value":{value:g}}}') for at, signal, value in rows]

        response, body = get(port, "/data?recording=short&start=6&end=7")
        messages = [m.log_time for _, _, m in make_reader(io.BytesIO(body)).iter_messages()]
        assert messages == [7], messages
        response, body = get(port, "/data?recording=short&start=8&end=9")
        assert not list(make_reader(io.BytesIO(body)).iter_messages())
        response, body = get(port, "/manifest?recording=empty")
        assert json.loads(body) == {"name": "empty", "sources": []}

        refused(port, "/manifest", 400, "recording=")
        refused(port, "/manifest?recording=nothing", 404, "there is no recording nothing")
        for path in ("../drive 7", "a/../drive 7", "", ".", "drive 7\0x"):
            refused(port, f"/manifest?recording={urllib.parse.quote(path)}", 404, "no recording")
        refused(port, "/data?recording=drive%207&start=1", 400, "not a number")
        refused(port, "/data?recording=drive%207&start=1&end=x", 400, "not a number: x")


def tokens(folder):
    url = "/data?recording=short&start=5&end=7"
    with started(folder, "--token", "s3cret") as (_, port):
        for place in ("/manifest?recording=short", url):
            refused(port, place, 401, "no bearer token")
            refused(port, place, 401, "not valid", token="s3cre")
            assert get(port, place, token="s3cret")[0].status == 200


def clients_that_leave_or_wait(folder):
    values = random.Random(7)
    count = 1_000_000
    write(f"{folder}/large.csv", ((START + at * 9, "a", values.random()) for at in range(count)))
    url = f"/data?recording=large&start={START}&end={START + 10 * SECOND}"
    request = f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with started(folder) as (process, port):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(request)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert open_files(process, "large.csv") == 1
        client.close()
        waits("it goes on without its reader", lambda: open_files(process, "large.csv") == 0)

        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        time.sleep(1)
        assert open_files(process, "large.csv") == 1, "it did not wait for its reader"
        assert resident_mib(process) < 64, resident_mib(process)
        response = http.client.HTTPResponse(client)
        response.begin()
        body = response.read()
        summary = make_reader(io.BytesIO(body)).get_summary()
        assert summary.statistics.message_count == count
        client.close()


def bodies_that_fail(folder):
    rows = [(START + at, "a", 1.5) for at in range(200_000)]
    rows[150_000] = (START + 3, "a", 1.5)
    write(f"{folder}/unsorted.csv", rows)
    with open(f"{folder}/broken.csv", "w") as file:
        file.write("time,signal,value\n")
        file.writelines(f"{at},a,{'x' if at == 150_000 else 1}\n" for at in range(200_000))
    for name, start, why in (
        ("unsorted", START, "ascending log time"),
        ("broken", 0, "not a number: x"),
    ):
        with started(folder) as (process, port):
            # The recording is looked at before it is broken.
            if name == "broken":
                path = f"{folder}/broken.csv"
                text = open(path).read()
                stamp = os.stat(path)
                open(path, "w").write(text.replace(",x\n", ",1\n"))
                os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
                assert get(port, "/manifest?recording=broken")[0].status == 200
                open(path, "w").write(text)
                os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
            url = f"/data?recording={name}&start={start}&end={start + 10 * SECOND}"
            client = socket.create_connection(("127.0.0.1", port))
            client.settimeout(30)
            client.sendall(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer[:100]
            assert b"\x89MCAP0\r\n" in answer and not answer.endswith(b"0\r\n\r\n"), "it ended cleanly"
            client.close()
            try:
                get(port, url)
            except http.client.IncompleteRead:
                pass
            else:
                raise AssertionError("it ended cleanly")
            process.terminate()
            said = process.stderr.read()
            assert why in said, said


def wrong_arguments():
    for arguments in ([], ["a", "b"], ["a", "--token"], ["a", "--address", "x"], ["a", "--x"]):
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=10)
        assert done.returncode == 2 and done.stderr.startswith("usage: "), (arguments, done)


with tempfile.TemporaryDirectory() as folder:
    wrong_arguments()
    whole_recording(folder)
    tokens(folder)
    clients_that_leave_or_wait(folder)
    bodies_that_fail(folder)
print("example_test: all is well")
