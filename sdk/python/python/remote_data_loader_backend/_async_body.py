"""A body that is written while it is sent, for servers on asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING

from remote_data_loader_backend._body import Body
from remote_data_loader_backend._errors import BackendError
from remote_data_loader_backend._writer import AnyMessage, BodyOptions, BodyWriter

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from remote_data_loader_backend._channels import ChannelSet


def async_body(
    channels: ChannelSet, messages: AsyncIterable[AnyMessage] | Iterable[AnyMessage], **options: Unpack[BodyOptions]
) -> AsyncBody:
    """:func:`body` for servers on asyncio.

    Chunks are compressed on a thread (``asyncio.to_thread``): the event loop goes on meanwhile.

    :param messages: :class:`Message` objects or plain tuples, in ascending log time. An
        asynchronous iterable is iterated on the event loop; any other on a thread, where it may
        block. Either is closed with the body.
    :param options: :class:`BodyOptions`.
    """
    writer = BodyWriter(channels, **options)
    if isinstance(messages, AsyncIterable):
        return _FromAsync(writer, messages)
    return _FromThread(writer, messages)


class AsyncBody(AsyncIterator[bytes]):
    """What :func:`async_body` gives: an iterator over the pieces. It ends only when the body is
    complete; one that failed, was cancelled or closed raises at every further step."""

    __slots__ = ("_closed", "_complete", "_writer")

    def __init__(self, writer: BodyWriter) -> None:
        self._writer = writer
        self._complete = False
        self._closed = False

    def __aiter__(self) -> AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        if self._complete:
            raise StopAsyncIteration
        if self._closed:
            raise BackendError("the body has failed, or was closed before its end")
        try:
            piece = await self._next()
        except asyncio.CancelledError:
            await self._abandon()
            raise
        except BaseException:
            await self.aclose()
            raise
        if piece is None:
            self._complete = True
            await self.aclose()
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Ends the work: closes `messages`, where they can be closed. A body that was not complete
        never will be."""
        self._closed = True
        self._writer._close()
        await self._close_messages()

    async def _abandon(self) -> None:
        """:meth:`aclose` for whoever was cancelled."""
        await self.aclose()

    async def _next(self) -> bytes | None:
        """The next piece; ``None`` behind the last."""
        raise NotImplementedError

    async def _close_messages(self) -> None:
        raise NotImplementedError


class _FromAsync(AsyncBody):
    """Messages come on the event loop; whatever closes a chunk goes to a thread."""

    __slots__ = ("_messages",)

    def __init__(self, writer: BodyWriter, messages: AsyncIterable[AnyMessage]) -> None:
        super().__init__(writer)
        self._messages = aiter(messages)

    async def _next(self) -> bytes | None:
        writer = self._writer
        if writer.is_finished:
            return None
        offer = writer._offer
        async for message in self._messages:
            if not offer(message):
                return await asyncio.to_thread(writer._push, message)
        return await asyncio.to_thread(writer._push, None)

    async def _close_messages(self) -> None:
        aclose = getattr(self._messages, "aclose", None)
        if aclose is not None:
            await aclose()


class _FromThread(AsyncBody):
    """Messages come on a thread, where they may block."""

    __slots__ = ("_body", "_lock")

    def __init__(self, writer: BodyWriter, messages: Iterable[AnyMessage]) -> None:
        super().__init__(writer)
        self._body = Body(writer, messages)
        # A generator that runs cannot be closed: whoever closes it waits for that.
        self._lock = threading.Lock()

    async def _next(self) -> bytes | None:
        return await asyncio.to_thread(self._step)

    async def _close_messages(self) -> None:
        await asyncio.to_thread(self._close)

    async def _abandon(self) -> None:
        # The thread that was cancelled may wait for a store: nobody waits for it here. It stops
        # at the next message, and the messages are closed behind it.
        self._closed = True
        self._writer._close()
        # A step that runs closes them itself, so that no second thread waits for it.
        if not self._lock.locked():
            asyncio.get_running_loop().run_in_executor(None, self._close)

    def _step(self) -> bytes | None:
        try:
            with self._lock:
                return next(self._body, None)
        finally:
            if self._closed:
                self._close()

    def _close(self) -> None:
        with self._lock:
            self._body.close()
