"""Runs the writers of bodies side by side and prints what each cost.

    python3 bench/kit [--bytes N] [--runs N] PROGRAM…

A program is a command that takes `--bytes` and `--runs` and prints lines of JSON: `what`,
`writer`, `compression`, `bytes` (of message data), `messages`, `cpu_seconds`. They take turns, so
that all of them meet the same weather; the least CPU seconds of each count.
"""

import argparse
import json
import shlex
import subprocess


def lines(program, bytes_, runs):
    command = [*shlex.split(program), "--bytes", str(bytes_), "--runs", str(runs)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=500_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("programs", nargs="+")
    args = parser.parse_args()
    best = {}
    for _ in range(args.runs):
        for program in args.programs:
            for line in lines(program, args.bytes, 1):
                key = (line["what"], line.get("compression", "none"), line["writer"])
                known = best.get(key)
                if known is None or line["cpu_seconds"] < known["cpu_seconds"]:
                    best[key] = line
    print("| messages | compression | writer | CPU seconds | GB per CPU second | µs a message |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (what, compression, writer), line in sorted(best.items()):
        seconds = line["cpu_seconds"]
        rate = line["bytes"] / seconds / 1e9
        each = seconds / line["messages"] * 1e6
        print(f"| {what} | {compression} | {writer} | {seconds:.3f} | {rate:.2f} | {each:.3f} |")


main()
