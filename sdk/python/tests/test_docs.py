"""What docstrings show is run, and what the stub says of the native half is true."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import remote_data_loader_backend


def test_what_docstrings_show_works() -> None:
    tried = 0
    for module in pkgutil.iter_modules(remote_data_loader_backend.__path__):
        found = importlib.import_module(f"remote_data_loader_backend.{module.name}")
        result = doctest.testmod(found, extraglobs=dict(vars(remote_data_loader_backend)))
        assert result.failed == 0
        tried += result.attempted
    assert tried >= 15


def test_everything_public_has_a_docstring() -> None:
    for name in remote_data_loader_backend.__all__:
        thing = getattr(remote_data_loader_backend, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for member, value in inspect.getmembers(thing, callable):
                assert member.startswith("_") or inspect.getdoc(value), f"{name}.{member}"


def test_the_stub_is_true() -> None:
    # The decorator that says so is not known to type checkers of last year.
    flags = ["--ignore-disjoint-bases", "remote_data_loader_backend._native"]
    command = [sys.executable, "-m", "mypy.stubtest", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
