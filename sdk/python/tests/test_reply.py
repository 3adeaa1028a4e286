"""Who asks, and what users are told."""

import email
from typing import Any

import pytest
from remote_data_loader_backend import ERROR_MESSAGE_HEADER, BackendError, Bearer, ErrorReply, NoBearer


def token_of(headers: Any) -> str | None:
    try:
        return Bearer.from_headers(headers).token
    except NoBearer:
        return None


def test_only_one_bearer_token_counts() -> None:
    assert token_of({"Authorization": "Bearer abc.def"}) == "abc.def"
    assert token_of([(b"accept", b"*/*"), (b"authorization", b"bearer  abc")]) == "abc"
    assert token_of([("AUTHORIZATION", "BEARER abc")]) == "abc"
    assert token_of(email.message_from_string("Authorization: Bearer abc\n\n")) == "abc"
    for value in ["Basic abc", "Bearer", "Bearer ", "", "Bearer a\nb", "Bearer \udc80"]:
        assert token_of({"Authorization": value}) is None, value
    assert token_of({}) is None
    assert token_of([("Authorization", "Bearer a"), ("authorization", "Bearer b")]) is None
    assert token_of(email.message_from_string("Authorization: Bearer a\nAuthorization: Bearer b\n\n")) is None


def test_the_token_is_compared_and_not_shown() -> None:
    bearer = Bearer.from_headers({"authorization": "Bearer s3cret"})
    assert bearer.is_("s3cret") and not bearer.is_("s3cret2") and not bearer.is_("")
    assert repr(bearer) == str(bearer) == "Bearer(…)"
    assert bearer == Bearer.from_headers({"authorization": "Bearer s3cret"})


def test_a_401_says_how_to_sign_in() -> None:
    with pytest.raises(ErrorReply) as refused:
        Bearer.from_headers({})
    reply = refused.value
    assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
    assert "sign in" in reply.message and isinstance(reply, BackendError)
    assert "www-authenticate" not in ErrorReply.not_found("no").headers
    made = [ErrorReply.bad_request, ErrorReply.unauthorized, ErrorReply.forbidden, ErrorReply.not_found]
    assert [make("x").status for make in made] == [400, 401, 403, 404]


def test_any_text_becomes_a_header() -> None:
    reply = ErrorReply.forbidden("gesperrt\r\nset-cookie: x für dich €")
    assert reply.message == "gesperrt  set-cookie: x für dich €"
    assert reply.body == reply.message.encode()
    assert str(reply) == f"403: {reply.message}"
    # What servers make of it.
    assert reply.headers[ERROR_MESSAGE_HEADER].encode("latin-1") == reply.body
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert ErrorReply.bad_request("é" * 4000).message == "é" * 512
    with pytest.raises(ValueError, match="no HTTP status"):
        ErrorReply(99, "x")
