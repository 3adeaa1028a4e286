"""The examples, started as programs."""

import csv
import http.client
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PACKAGE, is_whole, read
from programs import Program, eventually, running, slow_reader

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
NAME = "first drive/ü"
CSV_NAME = "first drive ü"


def small() -> list[tuple[int, str, float]]:
    """25 s of three signals, some at one time."""
    signals = ["speed", "battery", "temperature"]
    rows = [(START + n * SECOND // 10, signal, n / 4 + 0.1) for n in range(250) for signal in signals]
    return sorted(rows)


def large() -> list[tuple[int, str, float]]:
    """Some 20 MB of messages within one source."""
    return [(START + n, "speed", ((n * 2654435761) % 2**32) / 1e3) for n in range(400_000)]


def fill_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE signals(recording TEXT, time INTEGER, signal TEXT, value REAL)")
        for name, rows in [(NAME, small()), (CSV_NAME, small()), ("large", large())]:
            connection.executemany(f"INSERT INTO signals VALUES ('{name}', ?, ?, ?)", rows)
        connection.execute("CREATE INDEX by_time ON signals(recording, time, signal)")
    connection.close()


def fill_folder(folder: Path) -> None:
    folder.mkdir()
    wrong = [*small()[:20], (START - 5, "speed", 1.0)]
    for name, rows in [(CSV_NAME, small()), ("large", large()), ("disordered", wrong)]:
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("time", "signal", "value"), *rows])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    fill_database(folder / "signals.db")
    fill_folder(folder / "recordings")
    (folder / "secret.csv").write_text("time,signal,value\n1,speed,1\n")
    return folder


EXAMPLES = [("fastapi_sqlite.py", "signals.db"), ("http_server_csv.py", "recordings")]


@pytest.fixture(scope="module", params=EXAMPLES, ids=["fastapi_sqlite", "http_server_csv"])
def example(request: pytest.FixtureRequest, data: Path) -> Iterator[Program]:
    program, store = request.param
    arguments = [str(PACKAGE / "examples" / program), str(data / store), "--address", "127.0.0.1:0"]
    with running(*arguments) as running_program:
        yield running_program


def messages(program: Program, name: str) -> tuple[dict[str, Any], list[list[tuple[str, int, int, int, bytes]]]]:
    """The manifest of a recording, and the messages of each source."""
    from urllib.parse import quote

    status, headers, document = program.get(f"/manifest?recording={quote(name, safe='')}")
    assert status == 200 and headers["content-type"] == "application/json"
    manifest: dict[str, Any] = json.loads(document)
    bodies = []
    for source in manifest["sources"]:
        status, _, mcap = program.get(source["url"])
        assert status == 200
        bodies.append(read(mcap))
    return manifest, bodies


def test_what_is_served_is_what_is_stored(example: Program) -> None:
    manifest, bodies = messages(example, CSV_NAME)
    assert manifest["name"] == CSV_NAME
    # 25 s from the twentieth second of a minute: two slices, and half of one.
    assert [len(body) for body in bodies] == [300, 300, 150]
    found = [message for body in bodies for message in body]
    wanted = [(f"/{signal}", time, time, 0, b'{"value":%r}' % value) for time, signal, value in small()]
    assert found == wanted
    source = manifest["sources"][0]
    assert source["url"] == f"/data?recording=first%20drive%20%C3%BC&start={START}&end={START + 10 * SECOND - 1}"
    assert source["id"] == f"v1/first%20drive%20%C3%BC/{START}/{START + 10 * SECOND - 1}"
    assert [topic["name"] for topic in source["topics"]] == ["/battery", "/speed", "/temperature"]
    assert len(source["schemas"]) == 1 and source["schemas"][0]["name"] == "Signal"


def test_both_examples_answer_alike(data: Path) -> None:
    answers = []
    for name, store in EXAMPLES:
        with running(str(PACKAGE / "examples" / name), str(data / store), "--address", "127.0.0.1:0") as program:
            path = f"/data?recording=large&start={START}&end={START + 10_000}"
            answers.append((program.get("/manifest?recording=large")[2], program.get(path)[2]))
    assert answers[0] == answers[1]


def test_a_name_with_a_slash_is_a_name(data: Path) -> None:
    program, store = EXAMPLES[0]
    with running(str(PACKAGE / "examples" / program), str(data / store), "--address", "127.0.0.1:0") as example:
        manifest, bodies = messages(example, NAME)
        assert manifest["name"] == NAME and sum(map(len, bodies)) == 750


def test_what_is_wrong_is_said_in_words(example: Program) -> None:
    for path, status, words in [
        ("/manifest", 400, "recording"),
        ("/manifest?recording=none", 404, "'none'"),
        ("/manifest?recording=..%2Fsecret", 404, "secret"),
        (f"/data?recording=large&start=x&end={START}", 400, "start"),
        ("/data?recording=large&start=-1&end=5", 400, "start"),
        (f"/data?recording=large&start=1&end={2**64}", 400, "end"),
        ("/data?recording=large&start=1", 400, "end"),
        ("/data?recording=none&start=1&end=2", 404, "'none'"),
    ]:
        found, headers, body = example.get(path)
        message = headers["x-foxglove-error-message"].encode("latin-1")
        assert (found, message) == (status, body), path
        assert words in body.decode()


def test_a_reader_that_waits_holds_up_the_work_and_one_that_leaves_ends_it(example: Program) -> None:
    def reading() -> int:
        return sum("signals.db" in name or "large.csv" in name for name in example.open_files())

    example.get("/manifest?recording=large")
    assert eventually(lambda: reading() == 0)
    with slow_reader(example, f"/data?recording=large&start={START}&end={START + 10 * SECOND}"):
        assert eventually(lambda: reading() > 0)
        assert not eventually(lambda: reading() == 0, seconds=1)
    assert eventually(lambda: reading() == 0)


def test_a_token_is_asked_for(data: Path) -> None:
    for program, store in EXAMPLES:
        arguments = [str(PACKAGE / "examples" / program), str(data / store), "--address", "127.0.0.1:0"]
        with running(*arguments, "--token", "s3cret") as example:
            for path in ["/manifest?recording=large", f"/data?recording=large&start={START}&end={START}"]:
                for headers in [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}]:
                    status, found, _ = example.get(path, headers)
                    assert status == 401 and found["www-authenticate"] == "Bearer"
                    assert "sign in" in found["x-foxglove-error-message"]
                assert example.get(path, {"authorization": "Bearer s3cret"})[0] == 200


def test_data_that_cannot_be_served_cuts_the_answer_off(data: Path) -> None:
    program, store = EXAMPLES[1]
    with running(str(PACKAGE / "examples" / program), str(data / store), "--address", "127.0.0.1:0") as example:
        with pytest.raises(http.client.IncompleteRead) as broken:
            example.get(f"/data?recording=disordered&start={START - 5}&end={START + SECOND}")
        assert not is_whole(broken.value.partial)
        # The thread that served it is gone, and the server goes on.
        assert example.get("/manifest?recording=large")[0] == 200
