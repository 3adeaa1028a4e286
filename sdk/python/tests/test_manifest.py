"""Manifests, times and ids."""

import dataclasses
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import Declared
from remote_data_loader_backend import (
    ChannelSet,
    Manifest,
    Schema,
    StaticSource,
    StreamedSource,
    TimeSlice,
    Topic,
    source_id,
    time_slices,
)


def test_json_is_compact_in_order_and_without_what_is_absent(declared: Declared) -> None:
    streamed = declared.channels.source("/data?a=1&b=2", 1, 2, id="v1/x")
    manifest = Manifest([streamed, StaticSource("files/ü.mcap")], name='a "name"\n\x01\x7f\u2028€')
    a, b = declared.channels.topics()
    (schema,) = declared.channels.schemas()
    assert a.schema_id == schema.id and b.schema_id is None
    assert manifest.to_json() == (
        r'{"name":"a \"name\"\n\u0001' + "\x7f\u2028€"
        '","sources":[{"url":"/data?a=1&b=2","id":"v1/x","topics":['
        f'{{"name":"/a","messageEncoding":"json","schemaId":{schema.id}}},{{"name":"/b","messageEncoding":"x"}}],'
        f'"schemas":[{{"id":{schema.id},"name":"A","encoding":"jsonschema","data":"eyJ0eXBlIjoib2JqZWN0In0="}}],'
        '"startTime":"1970-01-01T00:00:00.000000001Z","endTime":"1970-01-01T00:00:00.000000002Z"},'
        '{"url":"files/ü.mcap","supportsRangeRequests":true}]}'
    )
    assert json.loads(manifest.to_json()) == manifest.to_dict()
    assert Manifest([]).to_json() == '{"sources":[]}'
    unknown = ChannelSet().source("/data").to_dict()
    assert unknown == {
        "url": "/data",
        "topics": [],
        "schemas": [],
        "startTime": "0001-01-01T00:00:00Z",
        "endTime": "9999-12-31T23:59:59Z",
    }


def test_parts_of_a_manifest_are_values(declared: Declared) -> None:
    source = declared.channels.source("/data", 1, 2)
    assert source == declared.channels.source("/data", 1, 2) and hash(source) == hash(source)
    assert dataclasses.replace(source, id="x").id == "x"
    assert Topic("/a", "json").to_json() == '{"name":"/a","messageEncoding":"json"}'
    assert Schema(1, "A", "jsonschema", "e30=").to_dict()["id"] == 1
    made = StreamedSource("/data", topics=[], schemas=[], start_time="x", end_time="y")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.url = "/other"  # type: ignore[misc]


def test_what_is_not_unicode_is_refused() -> None:
    with pytest.raises(ValueError, match="not Unicode"):
        Manifest([], name="\ud800").to_json()


class PreciseDatetime(datetime):
    """As pandas has them."""

    nanosecond = 7


class Index:
    """As numpy's integers are."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_a_datetime_loses_nothing() -> None:
    channels = ChannelSet()
    hour = timezone(timedelta(hours=1))
    # A float would have the last digit wrong.
    time = datetime(2026, 1, 31, 10, 30, 0, 123457, tzinfo=hour)
    source = channels.source("/data", time, time)
    assert source.start_time == "2026-01-31T09:30:00.123457000Z"
    assert source.end_time == "2026-01-31T09:30:00.123457999Z"
    precise = PreciseDatetime(2026, 1, 31, 10, 30, 0, 123457, tzinfo=hour)
    source = channels.source("/data", precise, precise)
    assert source.start_time == source.end_time == "2026-01-31T09:30:00.123457007Z"
    index: Any = Index(5)
    assert channels.source("/data", index).start_time == "1970-01-01T00:00:00.000000005Z"
    assert channels.source("/data", 2**64 - 1).start_time == "2554-07-21T23:34:33.709551615Z"


def test_a_time_that_is_none_is_refused_by_name() -> None:
    channels = ChannelSet()
    wrong: list[tuple[type[Exception], str, Any]] = [
        (ValueError, "start: .* has no time zone", datetime(2026, 1, 1)),
        (ValueError, "start: .* 1970 to 2554", datetime(1969, 12, 31, tzinfo=timezone.utc)),
        (ValueError, "start: .* 1970 to 2554", datetime(2555, 1, 1, tzinfo=timezone.utc)),
        (ValueError, "start: .* None stands for unknown", -1),
        (TypeError, "start: .* not float", 1.5),
        (TypeError, "start: .* not str", "2026-01-01T00:00:00Z"),
    ]
    for kind, text, start in wrong:
        with pytest.raises(kind, match=text):
            channels.source("/data", start)
    with pytest.raises(ValueError, match="end: "):
        channels.source("/data", 1, 2**64)


def test_slices_cover_a_recording_once() -> None:
    assert list(time_slices(7, 25, 10)) == [TimeSlice(7, 9), TimeSlice(10, 19), TimeSlice(20, 25)]
    assert list(time_slices(2**64 - 2, 2**64 - 1, timedelta(hours=1))) == [TimeSlice(2**64 - 2, 2**64 - 1)]
    assert list(time_slices(3, 9, 0)) == [TimeSlice(3, 9)]
    assert list(time_slices(4, 3, 10)) == []
    second = datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
    assert list(time_slices(second, second, timedelta(microseconds=1))) == [TimeSlice(10**9, 10**9 + 999)]
    # One at a time: there may be very many.
    assert next(iter(time_slices(0, 2**64 - 1, 1))) == TimeSlice(0, 0)
    with pytest.raises(ValueError, match="width"):
        time_slices(0, 1, -1)


def test_parts_of_an_id_never_run_together() -> None:
    ids = [source_id("a", "b/c"), source_id("a/b", "c"), source_id("a", "b", "c"), source_id("a", "", "bc")]
    assert len(set(ids)) == len(ids)
    assert source_id("v1", "Straße 7", 12) == "v1/Stra%C3%9Fe%207/12"
