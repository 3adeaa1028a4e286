"""Builds and runs what the guide shows: guide_test.py GUIDE FOLDER. Needs the mcap package.

Blocks of `cpp` are main.cpp, one behind the other; `cpp alone` is a program; `cmake` is
CMakeLists.txt; of `sh`, the first runs in the repository and the others in the folder.
"""

import io
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

from mcap.reader import make_reader

GUIDE, FOLDER = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]

blocks = re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```$", GUIDE.read_text(), re.S | re.M)
assert len(blocks) >= 9, len(blocks)
assert {language for language, _, _ in blocks} == {"sh", "cmake", "cpp"}
home = FOLDER / "home"
home.mkdir(parents=True, exist_ok=True)

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = str(probe.getsockname()[1])

real_home = os.environ["HOME"]
environment = {
    # Where rustup keeps what it has.
    "CARGO_HOME": f"{real_home}/.cargo",
    "RUSTUP_HOME": f"{real_home}/.rustup",
    "CMAKE_BUILD_TYPE": "Debug",
    **os.environ,
    "HOME": str(home),
    "CXXFLAGS": " ".join(FLAGS),
}


def of(language, words=""):
    found = [text for named, more, text in blocks if (named, more.strip()) == (language, words)]
    return [text.replace("8081", port) for text in found]


def run(script, folder):
    """A session of its own, so that what it leaves running can be stopped."""
    script = "set -eu\n" + script.replace("target/kit", str(FOLDER / "kit"))
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("{"):
            break
    return process, said


def stop(process):
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=10)


def get(path):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    request.add_header("Authorization", "Bearer s3cret")
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read()


install, *rest = of("sh")
process, said = run(install, REPOSITORY)
assert process.wait() == 0, said

(FOLDER / "main.cpp").write_text("\n".join(of("cpp")))
(FOLDER / "CMakeLists.txt").write_text(of("cmake")[0])
for script in rest:
    # curl does not end its line.
    process, said = run(script.rstrip() + "; echo", FOLDER)
    try:
        manifest = json.loads(said[said.index("{") :])
        assert len(manifest["sources"]) == 7, manifest
        times = []
        for source in manifest["sources"]:
            body = io.BytesIO(get(source["url"]))
            times += [message.log_time for _, _, message in make_reader(body).iter_messages()]
        start = 1_700_000_000 * 10**9
        assert times == [start + at * 10**8 for at in range(601)], len(times)
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/manifest?recording=drive")
            raise AssertionError("everybody may ask")
        except urllib.error.HTTPError as error:
            assert error.code == 401 and error.headers["www-authenticate"] == "Bearer"
    finally:
        stop(process)

prefix = home / ".local"
config = {**environment, "PKG_CONFIG_PATH": str(next(prefix.glob("lib*/**/pkgconfig")))}
library = subprocess.check_output(
    ["pkg-config", "--cflags", "--libs", "remote_data_loader_backend"], env=config, text=True
).split()
search = next(part[2:] for part in library if part.startswith("-L"))
alone = [(text, []) for text in of("cpp", "alone")]
alone += [(text, ["-lprotobuf"]) for text in of("cpp", "alone protobuf")]
assert len(alone) == 3
for number, (text, more) in enumerate(alone):
    (FOLDER / f"alone{number}.cpp").write_text(text)
    command = ["g++", *FLAGS, f"alone{number}.cpp", "-o", f"alone{number}", *library, *more, "-pthread"]
    subprocess.run([*command, f"-Wl,-rpath,{search}"], cwd=FOLDER, check=True)
    subprocess.run([f"./alone{number}"], cwd=FOLDER, check=True)
print("guide_test: all is well")
