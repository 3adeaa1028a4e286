"""What can be wrong: refusals, and replies that tell users so."""

from __future__ import annotations

from remote_data_loader_backend import _native

ERROR_MESSAGE_HEADER = "x-foxglove-error-message"
"""The response header whose text the viewer shows to its user."""


class BackendError(Exception):
    """Whatever this package refuses. Arguments of the wrong type or out of range are
    :class:`TypeError` and :class:`ValueError`, as everywhere in Python."""


class _NamedError(BackendError):
    name: str
    """What it is: the same in every language of the kit."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name = name

    def __str__(self) -> str:
        return str(self.args[1])


class ChannelError(_NamedError):
    """A channel cannot be declared. Its name is ``too-long`` (something is longer than the loader
    takes) or ``too-many`` (no id is left)."""


class MessageTypeError(_NamedError):
    """A type cannot be described. Its name is ``not-a-descriptor-set``, ``no-such-message`` or
    ``missing-import`` of a descriptor set, ``not-a-message-class`` of a class."""


class WriteError(_NamedError):
    """A body cannot go on. It cannot be finished either: whoever sends it aborts the connection,
    and the loader asks again. Its name is ``out-of-order``, ``outside-times``, ``unknown-channel``,
    ``too-large``, ``encoding``, ``compression`` or ``ended``."""


class ErrorReply(BackendError):
    """An error as a data backend answers it: a status, and a text for the user in
    :data:`ERROR_MESSAGE_HEADER` and in the body.

    Raise it where something is wrong, and have your server answer with :attr:`status`,
    :attr:`headers` and :attr:`body` where it catches it. The loader keeps 401 (the user is sent to
    sign in), 403 and 404 of a manifest endpoint; any other is a failure of the backend. 5xx and 429
    are tried again.

    >>> reply = ErrorReply.not_found("there is no drive 7")
    >>> reply.status, reply.headers["x-foxglove-error-message"]
    (404, 'there is no drive 7')
    """

    status: int
    """The HTTP status."""
    message: str
    """What the user reads: one line of at most 1 KiB."""
    headers: dict[str, str]
    """The headers of the reply. Other characters than those of ASCII go as UTF-8, which is what
    these values are once a server has encoded them as Latin-1, as servers in Python do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message, headers = _native.error_reply(status, message)
        self.headers = {name: value.decode("latin-1") for name, value in headers}

    @property
    def body(self) -> bytes:
        """The body of the reply: the message."""
        return self.message.encode()

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"

    @staticmethod
    def bad_request(message: str) -> ErrorReply:
        """400: a parameter is missing or wrong; say which."""
        return ErrorReply(400, message)

    @staticmethod
    def unauthorized(message: str) -> ErrorReply:
        """401: nobody is signed in, or the token is not valid any more."""
        return ErrorReply(401, message)

    @staticmethod
    def forbidden(message: str) -> ErrorReply:
        """403: this user may not see that."""
        return ErrorReply(403, message)

    @staticmethod
    def not_found(message: str) -> ErrorReply:
        """404: there is no such recording."""
        return ErrorReply(404, message)


class NoBearer(ErrorReply):
    """The request has no token: a 401 that asks for one."""

    def __init__(self, message: str = "the request has no bearer token: sign in") -> None:
        super().__init__(401, message)
        self.args = (message,)
