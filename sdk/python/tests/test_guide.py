"""What the guide and the package's page show is run."""

import ast
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from conftest import PACKAGE, is_whole, read
from programs import Program

GUIDE = PACKAGE.parent.parent / "docs" / "guides" / "write-a-data-backend" / "python.md"
README = PACKAGE / "README.md"


def blocks(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each block of Python."""
    text = path.read_text(encoding="utf-8")
    for found in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield text[: found.start(1)].count("\n"), found[1]


def run(path: Path) -> dict[str, Any]:
    """Runs all blocks, one behind the other, and gives what they defined."""
    names: dict[str, Any] = {"__name__": path.stem}
    for line, block in blocks(path):
        code = ast.increment_lineno(ast.parse(block, str(path)), line)
        exec(compile(code, str(path), "exec"), names)
    return names


@contextmanager
def served(app: Any) -> Iterator[Program]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        unused: Any = None
        try:
            yield Program(unused, "127.0.0.1", listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def test_what_the_guide_shows_works(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(GUIDE)
    assert len(list(blocks(GUIDE))) >= 9
    assert json.loads(capsys.readouterr().out)["name"] == "first drive"
    assert len(read(names["mcap"])) == 10
    assert [message[0] for message in read(names["typed"])] == ["/battery", "/stamp", "/pose"]
    assert len(names["sent"]) > 100 and not is_whole(names["sent"])
    with served(names["app"]) as program:
        status, _, document = program.get("/manifest?recording=first%20drive")
        assert status == 200
        sources = json.loads(document)["sources"]
        found = [read(program.get(source["url"])[2]) for source in sources]
        assert [len(messages) for messages in found] == [100, 100, 51]
        status, headers, _ = program.get("/manifest?recording=none")
        assert (status, headers["x-foxglove-error-message"]) == (404, "there is no recording 'none'")
        mine = "/my/manifest?recording=first%20drive"
        assert program.get(mine)[0] == 401
        assert program.get(mine, {"authorization": "Bearer wrong"})[0] == 401
        assert program.get(mine, {"authorization": "Bearer s3cret"})[2] == document


def test_what_the_page_of_the_package_shows_works() -> None:
    names = run(README)
    assert len(read(names["mcap"])) == 1
    assert json.loads(names["manifest"])["name"] == "first-recording"
