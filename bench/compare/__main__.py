"""Compares the loader with other programs, side by side in one run: `make bench`.

What counts are CPU seconds and ratios: wall times on a shared machine say little.
"""

import argparse
import datetime
import importlib.metadata
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

import far
import files
import machine
import rows

RESULTS = machine.ROOT / "bench" / "RESULTS.md"
PARTS = {**rows.ALL, "files": files.files, "far": far.far, "shared": far.shared}
# Where they stand in it: those of everything, and those of some parts that were measured after that.
ALL = "results"
ALONE = rf"\n\n<!-- (?!{ALL} )([\w, ]+) -->.*?<!-- end of \1 -->"


def arguments():
    parser = argparse.ArgumentParser(prog="bench/compare", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="100 MB, one run of each")
    size.add_argument("--smoke", action="store_true", help="10 MB and no peers, to see that all of it works")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part of it")
    parser.add_argument("--binaries", type=pathlib.Path, help="where they are: target/release")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md; with --only, beside the others")
    return parser.parse_args()


def main():
    asked = arguments()
    if asked.binaries:
        machine.binaries = asked.binaries.resolve()
    payload_mb, runs = (10, 1) if asked.smoke else (100, 1) if asked.quick else (1000, 3)
    machine.DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=machine.DATA) as state:
        bench = rows.Bench(payload_mb, runs, pathlib.Path(state), asked.smoke)
        found = []
        for name in asked.only or PARTS:
            for row in PARTS[name](bench):
                # So little data says nothing about speed.
                print(row.what if asked.smoke else line(row), flush=True)
                found.append(row)
    document = [vars(row) for row in found]
    (machine.DATA / "results.json").write_text(json.dumps(document, indent=1))
    if asked.write:
        write(found, payload_mb, runs, asked.only)


def number(value):
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def line(row):
    figures = number(row.median())
    if len(row.figures) > 1:
        figures += f" ({number(min(row.figures))}–{number(max(row.figures))})"
    target = ""
    if row.most is not None or row.least is not None:
        bound = f"≤ {row.most}" if row.most is not None else f"≥ {row.least}"
        target = f"{bound}: {'met' if row.met() else '**not met**'}"
    return f"| {row.what} | {figures} {row.unit} | {target} | {row.note} |"


def processor():
    for entry in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return platform.machine()


def write(found, payload_mb, runs, only):
    def said(*command):
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        return (told.stdout + told.stderr).strip().splitlines()[0]

    versions = [] if only else [f"{name} {importlib.metadata.version(name)}" for name in
                                ("mcap", "small-mcap", "pymcap-cli")]
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    versions.append("nginx " + said(nginx, "-v").rpartition("/")[2])
    versions.append(" ".join(said("curl", "--version").split()[:2]))
    versions.append("zstd " + said("zstd", "--version").partition(" v")[2].partition(",")[0])
    versions.append(f"versitygw {machine.versitygw_version()}")
    cores = len(pathlib.Path("/proc/cpuinfo").read_text().split("processor\t:")) - 1
    command = "make bench" if payload_mb == 1000 and not only else f"python3 {' '.join(sys.argv)}"
    table = "\n".join([
        f"`{command}` on {datetime.date.today()}, {cores} cores of {processor()}, Linux "
        f"{platform.release()}. Recordings of {payload_mb} MB, {runs} run(s) of each: the median, "
        f"and the least and greatest. Beside: {', '.join(versions)}.",
        "",
        "| what | measured | target | |",
        "| --- | --- | --- | --- |",
        *map(line, found),
    ])
    name = ", ".join(only) if only else ALL
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    text = RESULTS.read_text()
    if not only:
        # What was measured alone is older now.
        text = re.sub(ALONE, "", text, flags=re.DOTALL)
    elif begin not in text:
        behind = f"<!-- end of {ALL} -->"
        text = text.replace(behind, f"{behind}\n\n{begin}\n{end}")
    pattern = re.escape(begin) + ".*" + re.escape(end)
    text = re.sub(pattern, lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
