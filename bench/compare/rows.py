"""What is measured. Each function yields rows; a row is one line of the results."""

import dataclasses
import datetime
import http.client
import json
import random
import statistics
import subprocess
import sys
import urllib.parse

import machine
from machine import Loader, Nginx, ask, ask_all, bare_send, digest_of, measured

SECOND = 1_000_000_000


@dataclasses.dataclass
class Row:
    """`figures` are of one run each; what counts is their median. `most` or `least` is the target."""

    what: str
    unit: str
    figures: list
    most: float = None
    least: float = None
    note: str = ""

    def median(self):
        return statistics.median(self.figures)

    def met(self):
        if self.most is not None:
            return self.median() <= self.most
        return self.least is None or self.median() >= self.least


class Bench:
    """The recordings, how large they are, and how often each thing is measured."""

    def __init__(self, payload_mb, runs, state, smoke):
        self.payload_mb = payload_mb
        self.runs = runs
        self.state = state
        self.smoke = smoke

    def recording(self, scenario, compression="zstd", ids="canonical", payload_mb=None):
        """Makes a recording, once; its folder's name."""
        payload_mb = payload_mb or self.payload_mb
        name = f"{scenario}-{compression}-{ids}-{payload_mb}"
        folder = machine.DATA / name
        if not (folder / "digest").exists():
            subprocess.run(
                [
                    machine.binaries / "generate", "--scenario", scenario, "--out", folder,
                    "--compression", compression, "--ids", ids, "--payload-mb", str(payload_mb),
                ],
                check=True,
            )
        return name

    def truth(self, name):
        """The digest of a recording, its messages, and their bytes."""
        digest = (machine.DATA / name / "digest").read_text().strip()
        _, messages, payload = digest.split()
        return digest, int(messages), int(payload)

    def files(self, name):
        return sorted(str(file) for file in (machine.DATA / name).glob("*.mcap"))

    def nginx(self, sendfile=True):
        return Nginx(machine.DATA, self.state, sendfile)

    def loader(self, nginx, name, manifest="manifest", **settings):
        return Loader(f"{nginx.url}/{name}/{manifest}", self.state, **settings)

    def check(self, loader, name, **query):
        """That an answer has the messages of the recording, each once, in order."""
        found, expected = digest_of(loader.stream(**query)), self.truth(name)[0]
        if found != expected:
            raise RuntimeError(f"{name}: the answer has {found}, not {expected}")

    def peers(self, name):
        """The CPU seconds of each program that merges the files as they must be."""
        digest = self.truth(name)[0]
        out = self.state / "peer.mcap"
        program = str(machine.ROOT / "bench" / "compare" / "peers.py")
        commands = {
            peer: [sys.executable, program, peer, str(out), *self.files(name)]
            for peer in ("small-mcap", "mcap")
        }
        merge = [f"{sys.prefix}/bin/pymcap-cli", "merge", *self.files(name), "--force"]
        commands["pymcap-cli"] = [*merge, "-o", str(out), "--compression", "none"]
        found = {}
        for peer, command in commands.items():
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            times = [measured(command, **quiet)[0] for _ in range(self.runs)]
            reader = [machine.binaries / "digest", out]
            merged = subprocess.run(reader, check=True, capture_output=True, text=True).stdout
            found[peer] = (times, merged.strip() == digest)
            out.unlink()
        return found


def spent(process, action):
    """The CPU seconds that a process needs for something, and what that gives."""
    before = process.cpu_seconds()
    result = action()
    return process.cpu_seconds() - before, result


def cold(bench):
    """(a): four sources side by side, from their first byte on."""
    for ids, most in (("canonical", 1.6), ("foreign", 2.6)):
        name = bench.recording("a", ids=ids)
        gigabytes = bench.truth(name)[2] / 1e9
        cpu, first = [], []
        with bench.nginx() as nginx:
            for run in range(bench.runs):
                with bench.loader(nginx, name) as loader:
                    query = loader.stream(compression="none")
                    seconds, answer = spent(loader, lambda: ask(query))
                    cpu.append(seconds / gigabytes)
                    first.append(answer.first_message * 1000)
                    if run == 0:
                        bench.check(loader, name, compression="none")
        what = f"(a) zstd, cold, merged to uncompressed, {ids} ids"
        yield Row(what, "CPU s/GB", cpu, most=most)
        yield Row(f"{what}: first message byte", "ms", first, most=50)


def passed(bench):
    """(b): sixteen sources one after the other, warm; beside a bare send, a server that reads and
    sends a file with the same bytes, and who merges files."""
    name = bench.recording("b")
    whole = machine.DATA / "whole.mcap"
    cpu, bare, files = [], [], []
    with bench.nginx(sendfile=False) as nginx, bench.loader(nginx, name) as loader:
        bench.check(loader, name)
        with open(whole, "wb") as sink:
            ask(loader.stream(), sink=sink)
        for _ in range(bench.runs):
            seconds, answer = spent(loader, lambda: ask(loader.stream()))
            cpu.append(seconds)
            bare.append(bare_send(answer.bytes))
            files.append(spent(nginx, lambda: ask(f"{nginx.url}/whole.mcap"))[0])
    whole.unlink()
    what = "(b) zstd, warm, passed through"
    yield Row(what, "CPU s", cpu)
    for floor, times, targets in (
        ("a bare send of the same bytes", bare, {"most": 1.3}),
        ("nginx without sendfile, a file with the same bytes", files, {}),
    ):
        yield Row(floor, "CPU s", times)
        median = max(statistics.median(times), 0.01)
        yield Row(f"{what}: to {floor}", "times", [seconds / median for seconds in cpu], **targets)
    yield from beside_peers(bench, name, what, cpu, 6)


def beside_peers(bench, name, what, cpu, least):
    if bench.smoke:
        return
    merging = []
    for peer, (times, merges) in bench.peers(name).items():
        note = "" if merges else "its output is not in the order of time"
        yield Row(f"{peer}, {name}", "CPU s", times, note=note)
        if merges:
            merging.append(statistics.median(times))
    best = min(merging)
    figures = [best / max(seconds, 0.01) for seconds in cpu]
    yield Row(f"{what}: the best peer that merges needs", "times as much", figures, least=least)


def small(bench):
    """(c): many small messages."""
    for scenario, most in (("c", 0.80), ("c4k", 1.1)):
        name = bench.recording(scenario, compression="none")
        messages = bench.truth(name)[1]
        with bench.nginx() as nginx, bench.loader(nginx, name) as loader:
            bench.check(loader, name, compression="none")
            query = loader.stream(compression="none")
            cpu = [spent(loader, lambda: ask(query))[0] for _ in range(max(bench.runs, 3))]
        figures = [seconds / messages * 1e6 for seconds in cpu]
        what = f"({scenario}) {messages} small messages, warm, over HTTP"
        yield Row(what, "CPU µs/message", figures, most=most)


def uncompressed(bench):
    """(a) without compression, beside who merges files."""
    name = bench.recording("a", compression="none")
    with bench.nginx() as nginx, bench.loader(nginx, name) as loader:
        bench.check(loader, name, compression="none")
        query = loader.stream(compression="none")
        cpu = [spent(loader, lambda: ask(query))[0] for _ in range(bench.runs)]
    what = "(a) uncompressed, warm, merged, whole process over HTTP"
    yield Row(what, "CPU s", cpu)
    yield from beside_peers(bench, name, what, cpu, 1.8)


def local(bench):
    """(d): one source from the bucket's folder, beside nginx with the same bytes."""
    name = bench.recording("d")
    bucket = bench.state / "bucket"
    settings = {
        "REQUEST_CACHE_STORAGE_PROVIDER": "local",
        "REQUEST_CACHE_BUCKET_NAME": str(bucket),
    }
    ours = {"cpu": [], "rate": []}
    with bench.nginx() as nginx, bench.loader(nginx, name, **settings) as loader:
        bench.check(loader, name)
        whole = machine.DATA / "whole.mcap"
        with open(whole, "wb") as sink:
            ask(loader.stream(), sink=sink)
        for _ in range(bench.runs):
            seconds, answer = spent(loader, lambda: ask(loader.stream()))
            ours["cpu"].append(seconds)
            ours["rate"].append(answer.bytes / answer.seconds / 1e6)
        peak = loader.peak_mib()
    what = "(d) one source, warm, from a folder"
    yield Row(what, "MB/s", ours["rate"], note=f"peak {peak:.0f} MiB")
    for sendfile in (False, True):
        theirs = {"cpu": [], "rate": []}
        with bench.nginx(sendfile) as nginx:
            for _ in range(bench.runs):
                seconds, answer = spent(nginx, lambda: ask(f"{nginx.url}/whole.mcap"))
                theirs["cpu"].append(seconds)
                theirs["rate"].append(answer.bytes / answer.seconds / 1e6)
        how = "with sendfile" if sendfile else "without sendfile"
        yield Row(f"nginx {how}", "MB/s", theirs["rate"])
        rate, cpu = (statistics.median(theirs[key]) for key in ("rate", "cpu"))
        targets = {} if sendfile else {"least": 0.8}
        figures = [mine / rate for mine in ours["rate"]]
        yield Row(f"{what}: throughput to nginx {how}", "times", figures, **targets)
        targets = {} if sendfile else {"most": 1.3}
        figures = [mine / max(cpu, 0.01) for mine in ours["cpu"]]
        yield Row(f"{what}: CPU to nginx {how}", "times", figures, **targets)
    whole.unlink()


def seeks(bench):
    """Warm seeks: the newest message of each topic, and a second of data."""
    for scenario, most_mb, p50, p99, count in (
        ("d", 1000, 5, 25, 200),
        ("s", 1000, 40, None, 50),
        # No target: each seek has to take six hundred chunks apart.
        ("w", 100, None, None, 50),
    ):
        count = 5 if bench.smoke else count
        name = bench.recording(scenario, payload_mb=min(bench.payload_mb, most_mb))
        rng = random.Random(1)
        with bench.nginx() as nginx, bench.loader(nginx, name) as loader:
            bench.check(loader, name)
            times = declared_times(name)
            address = urllib.parse.urlsplit(loader.url)
            connection = http.client.HTTPConnection(address.hostname, address.port)
            found = []
            for _ in range(count):
                at = rng.randrange(times[0], max(times[0] + 1, times[1] - SECOND))
                query = {"start": at, "end": at + SECOND, "replayPolicy": "lastPerChannel"}
                answer = ask(loader.stream(**query), connection, whole_chunk=True)
                found.append(answer.first_message * 1000)
            connection.close()
        found.sort()
        what = f"({scenario}) warm seek with lookback, first message"
        yield Row(f"{what}, median of {count}", "ms", [statistics.median(found)], most=p50)
        tail = found[min(len(found) - 1, len(found) * 99 // 100)]
        yield Row(f"{what}, 99 of 100", "ms", [tail], most=p99)


def declared_times(name):
    """The first and the last second of a recording, in nanoseconds."""
    manifest = json.loads((machine.DATA / name / "manifest").read_text())

    def nanos(text):
        second = datetime.datetime.fromisoformat(text.partition(".")[0] + "+00:00")
        return int(second.timestamp()) * SECOND

    starts = [nanos(source["startTime"]) for source in manifest["sources"]]
    ends = [nanos(source["endTime"]) for source in manifest["sources"]]
    return min(starts), max(ends)


def viewers(bench):
    """Twelve viewers on a recording that still loads."""
    for factor in (1,) if bench.smoke else (1, 4):
        name = bench.recording("a", payload_mb=bench.payload_mb * factor)
        gigabytes = bench.truth(name)[2] / 1e9
        with bench.nginx() as nginx, bench.loader(nginx, name) as loader:
            seconds, _ = spent(loader, lambda: ask_all([loader.stream()] * 12))
            peak = loader.peak_mib()
            asked = nginx.requests(".mcap")
        what = f"12 viewers on {gigabytes:.1f} GB that still load"
        note = f"{seconds:.1f} CPU s"
        yield Row(f"{what}: peak memory", "MiB", [peak], most=250, note=note)
        yield Row(f"{what}: requests for a source", "", [max(asked.values())], most=1)


def floors(bench):
    """What others need for parts of it, and what (a) needs at the least."""
    for ids in ("canonical", "foreign"):
        name = bench.recording("a", ids=ids)
        gigabytes = bench.truth(name)[2] / 1e9
        kept = bench.state / "kept"
        with bench.nginx() as nginx, machine.sink() as sink:
            urls = [f"{nginx.url}/{name}/{file.rpartition('/')[2]}" for file in bench.files(name)]
            command = [machine.binaries / "floor", "--keep", kept, "--sink", sink, *urls]
            if ids == "foreign":
                command.append("--rewrite")
            times = [measured(command)[0] / gigabytes for _ in range(bench.runs)]
        kept.unlink()
        yield Row(f"(a) with {ids} ids: fetched, kept, decompressed and sent, nothing else", "CPU s/GB", times)
    name = bench.recording("a", compression="none")
    packed = bench.state / "packed.zst"
    with open(packed, "wb") as out:
        files = subprocess.Popen(["cat", *bench.files(name)], stdout=subprocess.PIPE)
        subprocess.run(["zstd", "-q", "-1", "-c"], stdin=files.stdout, stdout=out, check=True)
        files.wait()
    gigabytes = bench.truth(name)[2] / 1e9
    unpack = ["zstd", "-q", "-d", "-c", str(packed)]
    quiet = {"stdout": subprocess.DEVNULL}
    times = [measured(unpack, **quiet)[0] / gigabytes for _ in range(bench.runs)]
    yield Row("zstd -d of the same payload", "CPU s/GB", times)
    with bench.nginx() as nginx:
        urls = [f"{nginx.url}/{name}/{file.rpartition('/')[2]}" for file in bench.files(name)]
        fetch = ["curl", "-sS", "-o", "/dev/null", *urls]
        times = [measured(fetch, **quiet)[0] / gigabytes for _ in range(bench.runs)]
    packed.unlink()
    yield Row("curl of the same payload", "CPU s/GB", times)


ALL = {
    "cold": cold,
    "passed": passed,
    "small": small,
    "uncompressed": uncompressed,
    "local": local,
    "seeks": seeks,
    "viewers": viewers,
    "floors": floors,
}
