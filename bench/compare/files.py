"""The virtual file: a recording read by ranges, beside nginx with the same bytes in a file."""

import contextlib
import json
import pathlib
import statistics
import subprocess

import machine
from machine import ask, digest_of
from rows import Row

KIB = 1 << 10
# A copy of the file.
WHOLE = "whole.mcap"


def files(bench):
    """Ranges and all of it, what is fetched for a part of the time, and how long opening takes."""
    yield from verbatim(bench)
    yield from renumbered(bench)
    yield from part_of_the_time(bench)
    yield from many_sources(bench)


def reads(*arguments):
    """What `bench/src/bin/ranges.rs` says."""
    command = [machine.binaries / "ranges", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


@contextlib.contextmanager
def downloaded(nginx, url):
    """The URL of the same bytes at nginx."""
    try:
        with open(machine.DATA / WHOLE, "wb") as sink:
            ask(url, sink=sink)
        yield f"{nginx.url}/{WHOLE}"
    finally:
        (machine.DATA / WHOLE).unlink(missing_ok=True)


def check(bench, loader, name):
    """That the file has the messages of the recording, in the order of its index."""
    read = reads("read", loader.file())
    found, expected = read["digest"], bench.truth(name)[0]
    if found != expected:
        raise RuntimeError(f"{name}: the file has {found}, not {expected}")
    return read


def percentiles(times):
    times = sorted(times)
    return statistics.median(times), times[len(times) * 99 // 100], times[-1]


def beside(bench, servers, urls, command):
    """Each server asked the same in turns, in each run; what it took each of them of CPU."""
    before = [server.cpu_seconds() for server in servers]
    found = [reads(*command, *urls) for _ in range(bench.runs)]
    spent = [server.cpu_seconds() - start for server, start in zip(servers, before)]
    return found, spent


def random_ranges(bench, servers, urls, what, kib, *where, most=None, most_ms=None):
    """Rows on ranges of one size; targets are to nginx, or in milliseconds."""
    count = 20 if bench.smoke else 3000 if kib < KIB else 1000
    command = ("random", "--bytes", kib * KIB, "--count", count, *where)
    found, spent = beside(bench, servers, urls, command)
    ours, theirs = zip(*(map(percentiles, run["ms"]) for run in found))
    what = f"{what}, {count} ranges of {kib} KiB"
    each = [f"{seconds / bench.runs / count * 1e6:.0f} CPU µs a range" for seconds in spent]
    median, tail, longest = zip(*ours)
    yield Row(f"{what}: median", "ms", median, note=each[0], most=most_ms)
    yield Row(f"{what}: 99 of 100", "ms", tail)
    # So long an answer stalls whose end waits until the reader says that the rest came.
    yield Row(f"{what}: longest", "ms", longest, most=40)
    median, tail, longest = (statistics.median(figures) for figures in zip(*theirs))
    note = f"{each[1]}; 99 of 100: {tail:.2f} ms, longest: {longest:.1f} ms"
    yield Row("nginx, the same: median", "ms", [it[0] for it in theirs], note=note)
    for at, figure in enumerate(("median", "99 of 100")):
        ratios = [mine[at] / nginx[at] for mine, nginx in zip(ours, theirs)]
        yield Row(f"{what}: {figure} to nginx", "times", ratios, most=most)


def whole(bench, servers, urls, what):
    """Rows on all of it over one connection, to each of the other servers."""
    runs = 1 if bench.smoke else 3
    found, spent = beside(bench, list(servers.values()), urls, ("whole", "--runs", runs))
    of_server = zip(*(map(statistics.median, run["mb_per_second"]) for run in found))
    rates = dict(zip(servers, of_server))
    what = f"{what}, all of it over one connection"
    for name, seconds in zip(servers, spent):
        whose = f"{name}, the same" if name else what
        note = f"{seconds / bench.runs / runs:.2f} CPU s"
        yield Row(whose, "MB/s", rates[name], note=note)
    for name, least in (("nginx", 0.8), ("nginx without sendfile", None)):
        ratios = [mine / theirs for mine, theirs in zip(rates[""], rates[name])]
        yield Row(f"{what}: to {name}", "times", ratios, least=least)


def peak(loader, what):
    return Row(f"{what}: peak memory", "MiB", [loader.peak_mib()], most=250)


def verbatim(bench):
    """(d), uncompressed, so that the file has a gigabyte: every chunk lies in it as it is kept."""
    name = bench.recording("d", compression="none")
    what = "file of (d), warm, chunks as they are"
    with bench.nginx() as nginx, bench.loader(nginx, name) as loader:
        check(bench, loader, name)
        with downloaded(nginx, loader.file()) as copy:
            servers, urls = (loader, nginx), (loader.file(), copy)
            for kib in (64, 1024):
                yield from random_ranges(bench, servers, urls, what, kib, most=2)
            with bench.nginx(sendfile=False) as copying:
                servers = {"": loader, "nginx": nginx, "nginx without sendfile": copying}
                urls = (*urls, f"{copying.url}/{WHOLE}")
                yield from whole(bench, servers, urls, what)
        yield peak(loader, what)


def renumbered(bench):
    """(a) of static sources that number their channels alike: their chunks get new ids."""
    name = bench.recording("a", ids="foreign")
    what = "file of (a), warm, static sources with the same ids, within renumbered chunks"
    with bench.nginx() as nginx, bench.loader(nginx, name, "manifest-static") as loader:
        check(bench, loader, name)
        with downloaded(nginx, loader.file()) as copy:
            servers, urls = (loader, nginx), (loader.file(), copy)
            # What is kept as it is stays compressed.
            where = "--uncompressed"
            yield from random_ranges(bench, servers, urls, what, 64, where, most_ms=5)
        yield peak(loader, what)


def part_of_the_time(bench):
    """A tenth of the time, of static sources of which nothing is here: what is fetched for it."""
    for scenario, ids in (("b", "canonical"), ("d", "canonical"), ("a", "foreign")):
        name = bench.recording(scenario, ids=ids)
        size = sum(pathlib.Path(file).stat().st_size for file in bench.files(name))
        what = f"file of ({scenario}), {len(bench.files(name))} static, {ids} ids, cold"
        with bench.nginx() as nginx, bench.loader(nginx, name, "manifest-static") as loader:
            read = reads("read", "--from", 0.45, "--to", 0.55, loader.file())
            fetched = nginx.sent_bytes(".mcap")
            streamed = digest_of(loader.stream(start=read["start"], end=read["end"]))
            if streamed != read["digest"]:
                raise RuntimeError(f"{name}: the file has {read['digest']}, not {streamed}")
            tenth = f"{what}: a tenth of the time, fetched of the sources"
            note = f"{fetched / 1e6:.0f} of {size / 1e6:.0f} MB, {read['requests']} requests"
            # A few chunks of ten megabytes are more than a tenth.
            target = {} if bench.smoke else {"most": 12}
            yield Row(tenth, "%", [100 * fetched / size], note=note, **target)
            yield peak(loader, what)


def many_sources(bench):
    """How long it takes to open a file of many sources."""
    # A debug build takes ten seconds for six hundred.
    scenario = "b" if bench.smoke else "s"
    name = bench.recording(scenario)
    with bench.nginx() as nginx, bench.loader(nginx, name) as loader:
        unpinned = loader.file()
        bench.check(loader, name)
        what = f"file of ({scenario}), {len(bench.files(name))} sources"
        opening = f"{what}: length, footer and summary"
        cold = reads("open", "--times", 1, unpinned)["ms"]
        yield Row(f"{opening}, all loaded and never opened", "ms", cold, most=150)
        warm = reads("open", "--times", 5 if bench.smoke else 50, loader.file())["ms"]
        yield Row(f"{opening}, warm, median of {len(warm)}", "ms", [statistics.median(warm)], most=150)
        check(bench, loader, name)
        yield peak(loader, what)
