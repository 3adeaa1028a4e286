"""A bucket far away: an S3 server behind a proxy that takes its time."""

import contextlib
import json
import statistics
import subprocess
import time
import urllib.request

import machine
from machine import ask, ask_all
from rows import Row, SECOND, declared_times, spent

TOOL = machine.ROOT / "target" / "tools" / f"versitygw-v{machine.versitygw_version()}"
ROUND_TRIPS_MS = (0, 20, 50)
BUCKET = "bench"
KEY = "bench-key"
# Enough for the places to lie apart from one another.
SEEKS = 8


class Versitygw(machine.Process):
    """An S3 server over a folder, https://github.com/versity/versitygw."""

    def __init__(self, folder):
        self.folder = folder / BUCKET
        self.folder.mkdir(parents=True)
        port = machine.free_port()
        command = [TOOL, "--port", f"127.0.0.1:{port}", "--access", KEY, "--secret", KEY]
        # As real ones do.
        command += ["--keep-alive", "--quiet", "posix", str(folder)]
        super().__init__(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}"
        machine.wait_for(port)

    def wait_until_complete(self, sources):
        end = time.monotonic() + machine.PATIENCE
        while len(list(self.folder.rglob("complete.json"))) < sources:
            if time.monotonic() > end:
                raise RuntimeError("the bucket does not get complete")
            time.sleep(0.05)


class Delay(machine.Process):
    """A proxy before a server; see `bench/src/bin/delay.rs`."""

    def __init__(self, url, round_trip_ms):
        command = [machine.binaries / "delay", url, "--round-trip-ms", str(round_trip_ms)]
        super().__init__(command, stdout=subprocess.PIPE, text=True)
        self.url = self.child.stdout.readline().strip()

    def stop(self):
        super().stop()
        self.child.stdout.close()


def at(url):
    """The settings of a loader whose bucket is there."""
    return {
        "REQUEST_CACHE_STORAGE_PROVIDER": "s3_compatible",
        "REQUEST_CACHE_BUCKET_NAME": BUCKET,
        "S3_COMPATIBLE_SERVICE_URL": url,
        "S3_COMPATIBLE_SERVICE_REGION": "us-east-1",
        "S3_COMPATIBLE_ACCESS_KEY_ID": KEY,
        "S3_COMPATIBLE_SECRET_ACCESS_KEY": KEY,
    }


def far(bench):
    """What is complete in a bucket, read by a replica that has none of it."""
    for scenario, what in (("d", "(d) one source"), ("b", "(b) sixteen sources")):
        name = bench.recording(scenario)
        with bench.nginx() as nginx, Versitygw(bench.state / f"s3-{scenario}") as server:
            folder = {
                "REQUEST_CACHE_STORAGE_PROVIDER": "local",
                "REQUEST_CACHE_BUCKET_NAME": str(bench.state / f"local-{scenario}"),
            }
            for settings in (at(server.url), folder):
                with bench.loader(nginx, name, **settings) as loader:
                    bench.check(loader, name)
                    if settings is not folder:
                        server.wait_until_complete(len(bench.files(name)))
            delays = {ms: Delay(server.url, ms) for ms in ROUND_TRIPS_MS}
            try:
                places = {f"a bucket {ms} ms away": at(delay.url) for ms, delay in delays.items()}
                places["a folder"] = folder
                yield from throughput(bench, nginx, name, what, places)
                if scenario == "d":
                    yield from carried(bench, nginx, name)
                    yield from seeks(bench, nginx, name, what, delays)
            finally:
                for delay in delays.values():
                    delay.stop()


def shared(bench):
    """Two replicas over one bucket, twelve viewers each, while they load and follow."""
    for scenario, what in (("a", "(a) four sources"), ("b", "(b) sixteen sources")):
        name = bench.recording(scenario)
        with contextlib.ExitStack() as stack:
            nginx = stack.enter_context(bench.nginx())
            server = stack.enter_context(Versitygw(bench.state / f"s3-shared-{scenario}"))
            loaders = [
                stack.enter_context(bench.loader(nginx, name, **at(server.url))) for _ in range(2)
            ]
            ask_all([loader.stream() for loader in loaders for _ in range(12)])
            peak = max(loader.peak_mib() for loader in loaders)
            asked = nginx.requests(".mcap")
            bench.check(loaders[0], name)
            bench.check(loaders[1], name)
        viewers = f"{what}, two replicas over one bucket, 12 viewers each, while they load"
        yield Row(f"{viewers}: peak memory of either", "MiB", [peak], most=250)
        yield Row(f"{viewers}: requests for a source", "", [max(asked.values())], most=1)


def throughput(bench, nginx, name, what, places):
    """All of it, by a process that has nothing yet; the places in turns."""
    rates = {place: [] for place in places}
    cpu = {place: [] for place in places}
    peaks = dict.fromkeys(places, 0)
    for run in range(bench.runs):
        for place, settings in places.items():
            with bench.loader(nginx, name, **settings) as loader:
                seconds, answer = spent(loader, lambda: ask(loader.stream()))
                rates[place].append(answer.bytes / answer.seconds / 1e6)
                cpu[place].append(seconds)
                peaks[place] = max(peaks[place], loader.peak_mib())
                if run == 0:
                    bench.check(loader, name)
    near = f"a bucket {ROUND_TRIPS_MS[0]} ms away"
    for place in places:
        spends = f"{statistics.median(cpu[place]):.2f} CPU s, peak {peaks[place]:.0f} MiB"
        yield Row(f"{what}, whole, from {place}", "MB/s", rates[place], note=spends)
    for ms in ROUND_TRIPS_MS[1:]:
        place = f"a bucket {ms} ms away"
        ratios = [ours / theirs for ours, theirs in zip(rates[place], rates[near])]
        target = {"least": 0.7} if ms == 50 else {}
        yield Row(f"{what}, whole, from {place}: to 0 ms", "times", ratios, **target)


def carried(bench, nginx, name):
    """What the proxy carries at most."""
    file = bench.files(name)[0]
    path = file.removeprefix(str(machine.DATA))
    size = (machine.DATA / path.lstrip("/")).stat().st_size
    with Delay(nginx.url, ROUND_TRIPS_MS[-1]) as delay:
        found = []
        for _ in range(bench.runs):
            start = time.monotonic()
            ask_all([f"{delay.url}{path}"] * 4)
            found.append(4 * size / (time.monotonic() - start) / 1e6)
    yield Row(f"the proxy alone, {ROUND_TRIPS_MS[-1]} ms, four at once", "MB/s", found)


def seeks(bench, nginx, name, what, delays):
    """From the request to the first message, in round trips."""
    start, end = declared_times(name)
    step = max(SECOND, (end - start) // (SEEKS + 1))
    places = [start + step * number + SECOND // 3 for number in range(1, SEEKS + 1)]
    places = [place for place in places if place < end] or [start]

    def seek(loader, place):
        query = {"start": place, "end": place + SECOND, "replayPolicy": "lastPerChannel"}
        return ask(loader.stream(**query), whole_chunk=True).first_message * 1000

    near = {}
    for ms in ROUND_TRIPS_MS:
        settings = at(delays[ms].url)
        fresh = []
        for place in places[: max(3, bench.runs)]:
            with bench.loader(nginx, name, **settings) as loader:
                fresh.append(seek(loader, place))
        with bench.loader(nginx, name, **settings) as loader:
            recording = f"{loader.url}/v1/recording?ds.recording=bench"
            with urllib.request.urlopen(recording) as told:
                states = {source["state"] for source in json.load(told)["sources"]}
            if states != {"cached"}:
                raise RuntimeError(f"sources are {states}")
            known = [seek(loader, place) for place in places]
        for how, times in (
            ("its index known (chunks, side by side)", known),
            ("nothing known (list, complete.json, chunks)", fresh),
        ):
            seeking = f"{what}, {ms} ms away, seek with lookback, {how}: first message"
            yield Row(seeking, "ms", times)
            if not ms:
                near[how] = statistics.median(times)
                continue
            target = {"most": 3} if times is known else {}
            further = (statistics.median(times) - near[how]) / ms
            note = f"{further:.1f} beyond what it takes at 0 ms"
            yield Row(seeking, "round trips", [time / ms for time in times], note=note, **target)
