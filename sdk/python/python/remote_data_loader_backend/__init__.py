"""Small pieces to write a **data backend** for the remote data loader with any HTTP server.

A data backend is an HTTP service of your own, over your own store. Asked for a recording, its
*manifest endpoint* answers with JSON: a list of *sources*. A source is either *streamed*, a URL that
answers with MCAP made on demand, in ascending log time, or *static*, an MCAP file on a server that
supports range requests. The loader fetches, keeps and merges them.

==============================================  ====================================================
:class:`ChannelSet`, :class:`MessageType`       declare topics once, for the manifest and the data
:class:`Manifest`, :class:`StreamedSource`,     the manifest as JSON
:class:`StaticSource`
:func:`time_slices`, :func:`source_id`          split a recording into sources, and name them
:func:`body`, :func:`async_body`                the MCAP of a streamed source, pulled by your server
:class:`BodyWriter`                             the same, pushed
:class:`Bearer`, :class:`ErrorReply`            tell who asks, and tell users what went wrong
==============================================  ====================================================

None of them needs another, and none of them knows your HTTP server. Times are nanoseconds since the
Unix epoch, as ``int``; where a time is declared, a ``datetime`` with a time zone will do.
"""

from remote_data_loader_backend._async_body import AsyncBody, async_body
from remote_data_loader_backend._bearer import Bearer
from remote_data_loader_backend._body import Body, body
from remote_data_loader_backend._channels import ChannelSet
from remote_data_loader_backend._errors import (
    ERROR_MESSAGE_HEADER,
    BackendError,
    ChannelError,
    ErrorReply,
    MessageTypeError,
    NoBearer,
    WriteError,
)
from remote_data_loader_backend._manifest import (
    Manifest,
    Schema,
    Source,
    StaticSource,
    StreamedSource,
    Topic,
    source_id,
)
from remote_data_loader_backend._message_type import MessageSchema, MessageType
from remote_data_loader_backend._native import Channel
from remote_data_loader_backend._times import Time, TimeSlice, time_slices
from remote_data_loader_backend._writer import AnyMessage, BodyOptions, BodyWriter, Message

__all__ = [
    "ERROR_MESSAGE_HEADER",
    "AnyMessage",
    "AsyncBody",
    "BackendError",
    "Bearer",
    "Body",
    "BodyOptions",
    "BodyWriter",
    "Channel",
    "ChannelError",
    "ChannelSet",
    "ErrorReply",
    "Manifest",
    "Message",
    "MessageSchema",
    "MessageType",
    "MessageTypeError",
    "NoBearer",
    "Schema",
    "Source",
    "StaticSource",
    "StreamedSource",
    "Time",
    "TimeSlice",
    "Topic",
    "WriteError",
    "async_body",
    "body",
    "source_id",
    "time_slices",
]
