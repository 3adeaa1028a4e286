"""Times: nanoseconds since the Unix epoch, and what becomes of a ``datetime``."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple, Union

from remote_data_loader_backend import _native

Time = Union[int, datetime]
"""A time where one is declared: nanoseconds since the Unix epoch, or a ``datetime`` with a time
zone. A ``datetime`` stands for its whole microsecond: as a start for the first of its nanoseconds,
as an end for the last, so that no message that it was meant to cover lies outside. One that knows
its nanoseconds, as pandas' does, is taken at its word."""

_MAX_NANOS = 2**64 - 1
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class TimeSlice(NamedTuple):
    """A part of a recording, in nanoseconds since the Unix epoch; both ends belong to it."""

    start: int
    end: int


def start_nanos(time: Time, what: str = "start") -> int:
    """The first nanosecond that `time` stands for."""
    if isinstance(time, datetime):
        return _checked(_nanos(time, what), what)
    return _checked(_index(time, what), what)


def end_nanos(time: Time, what: str = "end") -> int:
    """The last nanosecond that `time` stands for."""
    if isinstance(time, datetime):
        rest = 0 if hasattr(time, "nanosecond") else 999
        return _checked(_nanos(time, what) + rest, what)
    return _checked(_index(time, what), what)


def duration_nanos(duration: int | timedelta, what: str) -> int:
    """A duration in nanoseconds."""
    if isinstance(duration, timedelta):
        nanos = duration // timedelta(microseconds=1) * 1000 + int(getattr(duration, "nanoseconds", 0))
        return _checked(nanos, what)
    return _checked(_index(duration, what), what)


def time_slices(start: Time, end: Time, width: int | timedelta) -> Iterator[TimeSlice]:
    """Splits a recording into slices of `width`, each of which makes a good source: viewers that
    seek load the slices that they need. Ten seconds to a minute suit most data.

    Slices begin at multiples of `width` since the epoch, but for the first: a recording that grows
    keeps the slices that it had, but for the last. None overlap, and nothing lies between them. No
    width is one slice of everything; an end before the start is no slice.

    :param width: nanoseconds, or a ``timedelta``.

    >>> list(time_slices(7, 25, 10))
    [TimeSlice(start=7, end=9), TimeSlice(start=10, end=19), TimeSlice(start=20, end=25)]
    """
    slices = _native.TimeSlices(start_nanos(start), end_nanos(end), duration_nanos(width, "width"))
    return map(TimeSlice._make, slices)


def _index(time: int, what: str) -> int:
    try:
        return operator.index(time)
    except TypeError:
        wanted = "whole nanoseconds since the Unix epoch, or a datetime with a time zone,"
        raise TypeError(f"{what}: {wanted} are wanted, not {type(time).__name__}") from None


def _checked(nanos: int, what: str) -> int:
    if not 0 <= nanos <= _MAX_NANOS:
        raise ValueError(f"{what}: {nanos} nanoseconds lie outside 64 bits, 1970 to 2554; None stands for unknown")
    return nanos


def _nanos(time: datetime, what: str) -> int:
    # In whole numbers: timestamp() is a float, which has not enough digits for a microsecond.
    offset = time.utcoffset()
    if offset is None:
        raise ValueError(f"{what}: {time} has no time zone; say which: time.replace(tzinfo=timezone.utc)")
    seconds = (time.toordinal() - _EPOCH_DAY) * 86_400 + time.hour * 3600 + time.minute * 60 + time.second
    micros = seconds * 1_000_000 + time.microsecond - offset // timedelta(microseconds=1)
    return micros * 1000 + int(getattr(time, "nanosecond", 0))
