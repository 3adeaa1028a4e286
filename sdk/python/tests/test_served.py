"""Bodies as uvicorn and gunicorn send them: an abort is seen as one, and nobody works for a reader who left."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import is_whole, read
from programs import Program, eventually, running, slow_reader

ASGI, WSGI = "bodies_app.py", "bodies_wsgi.py"
KINDS = pytest.mark.parametrize(
    ("server", "kind"), [(ASGI, "body"), (ASGI, "async"), (ASGI, "thread"), (WSGI, "body")], indirect=["server"]
)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Program]:
    with running(str(Path(__file__).with_name(request.param))) as program:
        yield program


def state(server: Program) -> dict[str, int]:
    found: dict[str, int] = json.loads(server.get("/state")[2])
    return found


@KINDS
def test_a_body_that_ends_is_whole(server: Program, kind: str) -> None:
    status, headers, mcap = server.get(f"/{kind}/whole")
    assert status == 200 and headers["transfer-encoding"] == "chunked"
    assert len(read(mcap)) == 3000


@KINDS
@pytest.mark.parametrize("how", ["failing", "disordered"])
def test_a_body_that_fails_is_cut_off(server: Program, kind: str, how: str) -> None:
    with pytest.raises(http.client.IncompleteRead) as broken:
        server.get(f"/{kind}/{how}")
    assert len(broken.value.partial) > 1_000_000 and not is_whole(broken.value.partial)
    assert state(server)["closed"] == 1


@KINDS
def test_nobody_works_for_a_reader_who_waits_or_left(server: Program, kind: str) -> None:
    with slow_reader(server, f"/{kind}/endless"):
        # What lies in buffers on the way is a bound for what was made.
        def stands_still() -> bool:
            before = state(server)["taken"]
            time.sleep(0.3)
            return state(server)["taken"] == before

        assert eventually(stands_still)
        taken = state(server)["taken"]
        assert taken < 50_000 and state(server)["closed"] == 0
    assert eventually(lambda: state(server)["closed"] == 1)
    # Whoever was at it stops within a chunk.
    assert state(server)["taken"] - taken < 20_000
