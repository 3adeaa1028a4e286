"""Makes the recording that the example backends of the kit serve, in each of their stores.

    make_signals.py <folder>

Writes drives.db, drives/first-drive.csv and drives/first-drive.parquet into the folder: the same
rows of time, signal and value. Prints one JSON object: how many messages a loader has to make of
them, and the digest that validate_mcap.py prints of those.
"""

import csv
import hashlib
import json
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
from validate_mcap import put_message

RECORDING = "first-drive"
START = 1_700_000_003_141_592_653
SECONDS = 35
RATES = {"battery": 1, "speed": 100, "steering/angle": 50, "übertemperatur": 3}
SCHEMA = b'{"type":"object","properties":{"value":{"type":"number"}}}'


def rows():
    """In ascending order of time and signal; many have one time."""
    made = []
    for place, (signal, rate) in enumerate(RATES.items()):
        for number in range(SECONDS * rate):
            # Such numbers are printed alike in every language.
            value = ((number * 37 + place * 11) % 4001 - 2000 + 0.5) / 64
            made.append((START + number * 1_000_000_000 // rate, signal, value))
    return sorted(made)


def write_sqlite(path, made):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE signals(recording TEXT, time INTEGER, signal TEXT, value REAL)")
        database.execute("CREATE INDEX by_time ON signals(recording, time, signal)")
        database.executemany(
            "INSERT INTO signals VALUES (?, ?, ?, ?)", ((RECORDING, *row) for row in made)
        )
        database.execute("INSERT INTO signals VALUES ('other', 5, 'speed', 0.5)")
    database.close()


def write_csv(path, made):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("time", "signal", "value"))
        writer.writerows(made)


def write_parquet(path, made):
    times, signals, values = zip(*made)
    table = pyarrow.table({"time": times, "signal": signals, "value": values})
    pyarrow.parquet.write_table(table, path, row_group_size=1000, compression="snappy")


def digest(made):
    whole = hashlib.sha256()
    schema = SimpleNamespace(name="Signal", encoding="jsonschema", data=SCHEMA)
    for time, signal, value in made:
        channel = SimpleNamespace(topic=f"/{signal}", message_encoding="json", metadata={})
        data = json.dumps({"value": value}, separators=(",", ":")).encode()
        message = SimpleNamespace(log_time=time, publish_time=time, sequence=0, data=data)
        put_message(whole, schema, channel, message)
    return whole.hexdigest()


def main():
    folder = Path(sys.argv[1])
    made = rows()
    (folder / "drives").mkdir()
    write_sqlite(folder / "drives.db", made)
    write_csv(folder / "drives" / f"{RECORDING}.csv", made)
    write_parquet(folder / "drives" / f"{RECORDING}.parquet", made)
    print(json.dumps({"messages": len(made), "digest": digest(made)}))


main()
