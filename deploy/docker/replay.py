"""Builds the image's content without a container engine, and tries it as compose.yaml runs it.

Every step is read from the Dockerfile, every service from compose.yaml, so that neither can drift from
what is tried here. A stage is a folder; a step or a service runs in it with chroot, in a mount
namespace of its own, services also as the image's user, without capabilities, over a root that is
read-only but for volumes and /tmp. They share a network namespace with nobody, in which a small name
server answers for compose.yaml's names. What FROM names is not fetched: this machine's own toolchain
stands in for it. Needs root, and PyYAML.
"""

import argparse
import ctypes
import fcntl
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MOST_MB = 40
PATIENCE = 60
# Of the machine, what a build step may see.
TOOLS = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/dev"]
PASSED = re.compile(r"(PATH|HOME|CARGO_HOME|RUSTUP_\w+|CARGO_BUILD_JOBS|CARGO_NET_\w+|\w+_proxy|\w+_PROXY|SSL_CERT_\w+)$")

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_MOUNTS, NEW_NETWORK = 0x00020000, 0x40000000
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18
DROP_FROM_BOUNDING_SET, NO_NEW_PRIVILEGES = 24, 38


def called(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source, target, kind=None, flags=0):
    encoded = [text and str(text).encode() for text in (source, target, kind)]
    called(LIBC.mount(*encoded, flags, None))


def own_mounts():
    called(LIBC.unshare(NEW_MOUNTS))
    mount(None, "/", None, RECURSIVE | PRIVATE)


class Stage:
    """What a stage of the Dockerfile came to."""

    def __init__(self, folder):
        self.folder = folder
        self.environment, self.workdir = {}, "/"
        self.user, self.entrypoint, self.command, self.health = None, [], [], None
        folder.mkdir()

    def inside(self, path):
        return self.folder / os.path.join(self.workdir, path).lstrip("/")


def instructions(text):
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def flags(text):
    """The leading --name=value of an instruction, and what follows."""
    found = []
    while match := re.match(r"--([\w-]+)=(\S+)\s+", text):
        found.append(match.groups())
        text = text[match.end():]
    return found, text


def build(work, target_folder, arguments):
    """The last stage of the Dockerfile, after all its steps."""
    stages, stage = {}, None
    for name, rest in instructions((HERE / "Dockerfile").read_text()):
        print(f"  {name} {rest[:100]}", flush=True)
        given, rest = flags(rest)
        if name == "FROM":
            alias = rest.partition(" AS ")[2] or "final"
            stage = stages[alias] = Stage(work / alias)
        elif name == "ARG":
            key, _, default = rest.partition("=")
            stage.environment[key] = arguments.get(key, default)
        elif name == "ENV":
            stage.environment.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif name == "WORKDIR":
            stage.workdir = os.path.join(stage.workdir, rest)
            stage.inside(".").mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            copy(stage, stages, dict(given), *rest.split())
        elif name == "RUN":
            mounts = [dict(part.split("=", 1) for part in value.split(",")) for _, value in given]
            run_step(stage, rest, [each["target"] for each in mounts], target_folder)
        elif name == "USER":
            stage.user = tuple(map(int, rest.split(":")))
        elif name == "HEALTHCHECK":
            stage.health = json.loads(rest.partition("CMD")[2])
        elif name == "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        elif name == "CMD":
            stage.command = json.loads(rest)
        elif name not in ("EXPOSE", "STOPSIGNAL"):
            sys.exit(f"Dockerfile: {name} is not known here")
    return stage


def copy(stage, stages, given, source, target):
    to = stage.inside(target)
    if "from" in given:
        tree = stages[given["from"]].folder / source.lstrip("/")
        shutil.copytree(tree, to, symlinks=True, dirs_exist_ok=True)
    else:
        tree = ROOT / source
        shutil.copytree(tree, to, symlinks=True, dirs_exist_ok=True, ignore=unsent)
    if "chown" in given:
        user, group = map(int, given["chown"].split(":"))
        for path in tree.rglob("*"):
            os.chown(to / path.relative_to(tree), user, group)


def unsent(folder, names):
    """What .dockerignore keeps back; only the forms that are used there are known."""
    kept, anywhere = set(), set()
    for line in (ROOT / ".dockerignore").read_text().split("\n"):
        if line.startswith("!"):
            kept.add(line[1:])
        elif line.startswith("**/"):
            anywhere.add(line[3:])
        elif line not in ("", "*") and not line.startswith("#"):
            sys.exit(f".dockerignore: {line} is not known here")
    is_top = pathlib.Path(folder) == ROOT
    return [name for name in names if name in anywhere or (is_top and name not in kept)]


def run_step(stage, command, kept, target_folder):
    environment = {key: value for key, value in os.environ.items() if PASSED.match(key)}
    home = os.environ.get("HOME", "/root")
    tools = [*TOOLS, os.environ.get("CARGO_HOME", f"{home}/.cargo"),
             os.environ.get("RUSTUP_HOME", f"{home}/.rustup")]

    def enter():
        own_mounts()
        for path in tools:
            if os.path.exists(path):
                bound(path, stage.folder)
                if path in TOOLS:
                    mount(None, stage.folder / path[1:], None, BIND | REMOUNT | READ_ONLY)
        # Of what is kept between builds, cargo's own folder is here anyway.
        if "/target" in kept:
            bound(target_folder, stage.folder, "/target")
        for path, kind in (("/proc", "proc"), ("/tmp", "tmpfs")):
            (stage.folder / path[1:]).mkdir(exist_ok=True)
            mount(kind, stage.folder / path[1:], kind)
        os.chroot(stage.folder)
        os.chdir(stage.workdir)

    began = time.monotonic()
    done = subprocess.run(["/bin/sh", "-c", command], preexec_fn=enter, check=False,
                          env={**environment, **stage.environment})
    if done.returncode != 0:
        sys.exit(f"Dockerfile: this step failed: RUN {command}")
    print(f"    took {time.monotonic() - began:.0f} s", flush=True)


def bound(source, folder, at=None):
    """Shows a folder, or a file, of the machine inside another."""
    target = folder / (at or str(source)).lstrip("/")
    if os.path.isdir(source):
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(source, target, None, BIND | RECURSIVE)


class Service:
    """A container of the image, or of what stands in for another."""

    def __init__(self, stage, arguments, environment, volumes):
        self.stage = stage
        self.environment = {**stage.environment, "RUST_LOG": "warn", **environment}
        self.volumes = volumes
        self.process = subprocess.Popen([*stage.entrypoint, *arguments], preexec_fn=self.enter,
                                        stdout=subprocess.DEVNULL, env=self.environment)

    def enter(self):
        folder = self.stage.folder
        own_mounts()
        mount(folder, folder, None, BIND | RECURSIVE)
        for device in ("null", "zero", "random", "urandom"):
            bound(f"/dev/{device}", folder)
        mount("proc", folder / "proc", "proc")
        mount("tmpfs", folder / "tmp", "tmpfs")
        # Before volumes are mounted: they may be written to.
        mount(None, folder, None, BIND | REMOUNT | READ_ONLY)
        for source, at in self.volumes.items():
            mount(source, folder / at[1:], None, BIND)
        os.chroot(folder)
        os.chdir("/")
        for capability in range(64):
            LIBC.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
        called(LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        os.setgroups([])
        os.setgid(self.stage.user[1])
        os.setuid(self.stage.user[0])

    def health(self):
        """The exit status of the image's own HEALTHCHECK, and what it said."""
        done = subprocess.run(self.stage.health, preexec_fn=self.enter, env=self.environment,
                              capture_output=True, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()

    def until_healthy(self):
        until = time.monotonic() + PATIENCE
        while (told := self.health())[0] != 0:
            if self.process.poll() is not None or time.monotonic() > until:
                sys.exit(f"it is not healthy: {told}")
            time.sleep(0.1)
        return told[1]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def name_server(names):
    """Answers on port 53 that these names are this machine, and that there are no others."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    child = os.fork()
    if child:
        return child
    while True:
        question, asker = server.recvfrom(512)
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += question[at] + 1
        kind = struct.unpack(">H", question[at + 1:at + 3])[0]
        is_known = ".".join(labels).lower() in names
        answer = b""
        if is_known and kind == 1:
            answer = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton("127.0.0.1")
        counts = struct.pack(">HHHHHH", *struct.unpack(">H", question[:2]),
                             0x8180 if is_known else 0x8183, 1, bool(answer), 0, 0)
        server.sendto(counts + question[12:at + 5] + answer, asker)


def own_network():
    called(LIBC.unshare(NEW_NETWORK))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS: up and running.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40) + bytes(22))


def get(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read()


def measure(stage, profile):
    """That nothing is missing in the image, nor anything in it that is not needed."""
    binary = stage.folder / stage.entrypoint[0].lstrip("/")
    told = subprocess.run(["readelf", "--wide", "--program-headers", "--dynamic", binary],
                          capture_output=True, text=True, check=True).stdout
    if "INTERP" in told or "(NEEDED)" in told:
        sys.exit(f"{binary} is not static")
    files = [path for path in stage.folder.rglob("*") if path.is_file()]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    print(f"the image: {len(files)} files, {megabytes:.1f} MB, {profile} build, a static binary")
    if profile == "release" and megabytes >= MOST_MB:
        sys.exit(f"it is larger than {MOST_MB} MB")


def try_compose(stage, work, versitygw):
    described = yaml.safe_load((HERE / "compose.yaml").read_text())
    services = described["services"]
    volumes = {name: work / "volumes" / name for name in described["volumes"]}
    # What an engine puts into a container.
    for path in ("dev", "proc"):
        (stage.folder / path).mkdir()
    for device in ("null", "zero", "random", "urandom"):
        (stage.folder / "dev" / device).touch()
    (stage.folder / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    # compose.yaml's `demo` is told by this file, the others by the name server.
    (stage.folder / "etc/hosts").write_text("127.0.0.1 localhost demo\n")

    def start(name):
        service = services[name]
        mounted = {}
        for volume in service.get("volumes", []):
            source, at = volume.split(":")[:2]
            if not volumes[source].exists():
                # A new volume is as the image has its folder.
                there = os.stat(stage.folder / at[1:])
                volumes[source].mkdir(parents=True)
                os.chown(volumes[source], there.st_uid, there.st_gid)
                os.chmod(volumes[source], stat.S_IMODE(there.st_mode))
            mounted[volumes[source]] = at
        return Service(stage, service.get("command", stage.command), service.get("environment", {}),
                       mounted)

    def start_store():
        service, folder = services["store"], work / "volumes/store"
        script = service["command"][0].replace("/store/", f"{folder}/")
        script = script.replace("exec versitygw", f"exec {versitygw}")
        return subprocess.Popen([*service["entrypoint"], script], stdout=subprocess.DEVNULL,
                                env={**os.environ, **service["environment"]})

    running = []
    try:
        demo = start("demo")
        running.append(demo.process)
        print(f"HEALTHCHECK of demo: {demo.until_healthy()}")
        sample = start("sample")
        running.append(sample.process)
        if sample.process.wait(PATIENCE) != 0:
            sys.exit("sample: it did not write the recording")
        # It has the loader's port.
        demo.end()
        backend, store = start("backend"), start_store()
        running += [backend.process, store]
        print(f"HEALTHCHECK of backend: {backend.until_healthy()}")
        loader = start("loader")
        running.append(loader.process)
        print(f"HEALTHCHECK of loader: {loader.until_healthy()}")
        until = time.monotonic() + PATIENCE
        while ready() != 200:
            if time.monotonic() > until:
                sys.exit("the loader does not become ready: it cannot use its bucket")
            time.sleep(0.2)
        known = json.loads(get("http://127.0.0.1:8080/v1/recording?ds.recording=demo-drive"))
        body = get("http://127.0.0.1:8080/v1/stream?ds.recording=demo-drive")
        if b"<script" not in get("http://127.0.0.1:8080/view?ds.recording=demo-drive"):
            sys.exit("the image has no viewer")
        if not (body.startswith(b"\x89MCAP0\r\n") and body.endswith(b"\x89MCAP0\r\n")):
            sys.exit("what the loader answers is no MCAP")
        print(f"the loader streams {len(known['topics'])} topics, {len(body) / 1e6:.1f} MB")
        if (ended := loader.end()) != 0:
            sys.exit(f"the loader ended with {ended} after SIGTERM")
        status, told = loader.health()
        if status != 1:
            sys.exit(f"HEALTHCHECK without a loader: {status}, {told}")
    finally:
        for process in running:
            process.kill()
            process.wait()


def forbidden():
    """Why namespaces cannot be had on this machine, if so."""
    child = os.fork()
    if child == 0:
        try:
            own_mounts()
            called(LIBC.unshare(NEW_NETWORK))
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    number = os.waitstatus_to_exitcode(status)
    return os.strerror(number) if number else None


def ready():
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/readiness", timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--target", type=pathlib.Path, required=True, help="kept between builds")
    parser.add_argument("--build-arg", action="append", default=[], help="NAME=VALUE")
    parser.add_argument("--versitygw", type=pathlib.Path, required=True, help="stands in for the store")
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("it needs root, to mount and to change the user")
    why = forbidden()
    if why:
        # A container without privileges; the Dockerfile was linted all the same.
        print(f"NOT TRIED: the image's content; not even root may mount here ({why})")
        return
    arguments = dict(argument.split("=", 1) for argument in asked.build_arg)
    asked.target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rdl-image.") as work:
        work = pathlib.Path(work)
        # The image's user passes through it.
        work.chmod(0o755)
        stage = build(work, asked.target.resolve(), arguments)
        measure(stage, arguments.get("CARGO_PROFILE", "release"))
        own_network()
        names = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]
        server = name_server(set(names) - {"demo"})
        try:
            try_compose(stage, work, asked.versitygw.resolve())
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
    print("the image does what compose.yaml says: 1 passed, 0 failed")


if __name__ == "__main__":
    main()
