"""A fake of Google Cloud Storage's XML API, in memory, on a free port of the loopback interface.

    gcs_xml.py

It is written after Google's documentation for the requests that the Rust crate `object_store`
0.14 makes, and knows no others. A fake of our own is no evidence about the real service: tests
that pass here show that we speak to it as we mean to, not that it answers as we think. Nothing is
authorized, and buckets are made by a bare PUT of their name.

Prints `listening on http://127.0.0.1:<port>` once it answers.
"""

import hashlib
import itertools
import re
import socketserver
import threading
import time
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

# Of every part of a multipart upload but the last.
MIN_PART_BYTES = 5 << 20
MAX_KEYS = 1000
KEPT_HEADERS = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "x-goog-storage-class",
}
METADATA_PREFIX = "x-goog-meta-"


class Refused(Exception):
    """A request that is answered with this status and the code of an XML error."""

    def __init__(self, status, code):
        super().__init__(code)
        self.status = status
        self.code = code


class Stored(NamedTuple):
    """One generation of an object."""

    data: bytes
    generation: int
    modified: float
    etag: str
    kept: dict

    def headers(self):
        return {
            "ETag": self.etag,
            "x-goog-generation": self.generation,
            "Last-Modified": formatdate(self.modified, usegmt=True),
            "Accept-Ranges": "bytes",
        }


class Upload(NamedTuple):
    """A multipart upload that is under way: `parts` has (etag, data) by number."""

    bucket: str
    key: str
    kept: dict
    parts: dict


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: dict = {}


def etag_of(data):
    return '"%s"' % hashlib.md5(data).hexdigest()


def element(name, content):
    """`content` is text, or a list of elements."""
    inner = "".join(content) if isinstance(content, list) else escape(str(content))
    return f"<{name}>{inner}</{name}>"


def xml(status, document, headers=None):
    body = f"<?xml version='1.0' encoding='UTF-8'?>{document}".encode()
    return Answer(status, body, {"Content-Type": "application/xml", **(headers or {})})


class Store:
    """Buckets and uploads; whoever calls a method holds `lock`."""

    def __init__(self):
        self.lock = threading.Lock()
        self.buckets = {}
        self.uploads = {}
        self.generations = itertools.count(time.time_ns() // 1000)

    def bucket(self, name):
        if name not in self.buckets:
            raise Refused(404, "NoSuchBucket")
        return self.buckets[name]

    def object(self, bucket, key, generation=None):
        found = self.bucket(bucket).get(key)
        if found is None or generation not in (None, str(found.generation)):
            raise Refused(404, "NoSuchKey")
        return found

    def put(self, bucket, key, data, kept):
        new = Stored(data, next(self.generations), time.time(), etag_of(data), kept)
        self.bucket(bucket)[key] = new
        return new

    def check_generation(self, bucket, key, wanted):
        """`x-goog-if-generation-match`: 0 means that there must be no object."""
        current = self.bucket(bucket).get(key)
        if wanted is not None and wanted != str(current.generation if current else 0):
            raise Refused(412, "PreconditionFailed")

    def begin_upload(self, bucket, key, kept):
        upload_id = f"upload-{next(self.generations)}"
        self.uploads[upload_id] = Upload(bucket, key, kept, {})
        return upload_id

    def upload(self, bucket, key, upload_id):
        found = self.uploads.get(upload_id)
        if found is None or (found.bucket, found.key) != (bucket, key):
            raise Refused(404, "NoSuchUpload")
        return found

    def complete_upload(self, upload_id, listed):
        """`listed` has (number, etag) in the order of the object."""
        upload = self.uploads[upload_id]
        numbers = [number for number, _ in listed]
        if not listed or numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder")
        for number, etag in listed:
            if number not in upload.parts or upload.parts[number][0].strip('"') != etag.strip('"'):
                raise Refused(400, "InvalidPart")
        data = [upload.parts[number][1] for number in numbers]
        if any(len(part) < MIN_PART_BYTES for part in data[:-1]):
            raise Refused(400, "EntityTooSmall")
        del self.uploads[upload_id]
        return self.put(upload.bucket, upload.key, b"".join(data), upload.kept)


def list_objects(name, objects, query):
    """`list-type=2`: the keys in the order of their bytes, those with a delimiter grouped."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    start_after, token = query.get("start-after", ""), query.get("continuation-token", "")
    limit = min(MAX_KEYS, int(query.get("max-keys", MAX_KEYS)))
    contents, groups, last = [], [], None
    truncated = False
    for key in sorted(objects):
        if not key.startswith(prefix) or key <= start_after:
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        # The entry that stands for this key: its group or itself.
        entry = key if end < 0 else key[: end + len(delimiter)]
        if entry == last or (token and entry <= token):
            continue
        if len(contents) + len(groups) == limit:
            truncated = True
            break
        if end < 0:
            contents.append((key, objects[key]))
        else:
            groups.append(entry)
        last = entry
    document = [
        element("Name", name),
        element("Prefix", prefix),
        element("IsTruncated", str(truncated).lower()),
    ]
    if truncated and last is not None:
        document.append(element("NextContinuationToken", last))
    for key, stored in contents:
        modified = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stored.modified))
        milliseconds = int(stored.modified % 1 * 1000)
        fields = [
            element("Key", key),
            element("Generation", stored.generation),
            element("LastModified", f"{modified}.{milliseconds:03}Z"),
            element("ETag", stored.etag),
            element("Size", len(stored.data)),
        ]
        document.append(element("Contents", fields))
    document += [element("CommonPrefixes", [element("Prefix", group)]) for group in groups]
    return xml(200, element("ListBucketResult", document))


def listed_parts(body):
    """(number, etag) of every `Part` of a `CompleteMultipartUpload`."""
    try:
        parts = ElementTree.fromstring(body).iter("Part")
        return [(int(part.findtext("PartNumber")), part.findtext("ETag") or "") for part in parts]
    except (ElementTree.ParseError, TypeError, ValueError):
        raise Refused(400, "MalformedXML") from None


def check_conditions(headers, stored):
    """The conditions of a GET or HEAD (RFC 9110, section 13); True if nothing was modified."""
    modified = int(stored.modified)
    match, none_match = headers.get("If-Match"), headers.get("If-None-Match")
    since, unmodified = headers.get("If-Modified-Since"), headers.get("If-Unmodified-Since")
    if match is not None:
        if match not in ("*", stored.etag):
            raise Refused(412, "PreconditionFailed")
    elif unmodified and modified > parsedate_to_datetime(unmodified).timestamp():
        raise Refused(412, "PreconditionFailed")
    if none_match is not None:
        return none_match in ("*", stored.etag)
    return bool(since) and modified <= parsedate_to_datetime(since).timestamp()


def read_object(headers, stored):
    if check_conditions(headers, stored):
        return Answer(304, headers=stored.headers())
    size = len(stored.data)
    answered = {**stored.headers(), **stored.kept}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("Range", ""))
    if not asked or asked[0] == "bytes=-":
        return Answer(200, stored.data, answered)
    if asked[1]:
        first, last = int(asked[1]), min(size - 1, int(asked[2] or size - 1))
    else:
        first, last = max(0, size - int(asked[2])), size - 1
    if first > last:
        return Answer(416, headers={"Content-Range": f"bytes */{size}"})
    answered["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Answer(206, stored.data[first : last + 1], answered)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store = Store()

    def log_message(self, *_):
        """Nothing is logged."""

    def answer_request(self):
        try:
            answer = self.answer(self.read_body())
        except Refused as refused:
            fields = [element("Code", refused.code), element("Message", refused.code)]
            answer = xml(refused.status, element("Error", fields))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, str(value))
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer_request

    def read_body(self):
        if self.headers.get("Transfer-Encoding"):
            # Where the next request begins is unknown.
            self.close_connection = True
            raise Refused(411, "LengthRequired")
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, body):
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        bucket, _, key = url.path.lstrip("/").partition("/")
        bucket, key = unquote(bucket), unquote(key)
        with self.store.lock:
            if not key:
                return self.answer_bucket(bucket, query)
            self.store.bucket(bucket)
            if "uploads" in query or "uploadId" in query:
                return self.answer_upload(bucket, key, query, body)
            if self.command == "PUT":
                return self.answer_put(bucket, key, body)
            if self.command == "DELETE":
                self.store.object(bucket, key, query.get("generation"))
                self.check_generation(bucket, key)
                del self.store.bucket(bucket)[key]
                return Answer(204)
            if self.command in ("GET", "HEAD"):
                stored = self.store.object(bucket, key, query.get("generation"))
                return read_object(self.headers, stored)
        raise Refused(405, "MethodNotAllowed")

    def answer_bucket(self, bucket, query):
        if self.command == "PUT" and bucket:
            self.store.buckets.setdefault(bucket, {})
            return Answer(200)
        objects = self.store.bucket(bucket)
        if self.command in ("GET", "HEAD"):
            return list_objects(bucket, objects, query)
        raise Refused(405, "MethodNotAllowed")

    def answer_put(self, bucket, key, body):
        self.check_generation(bucket, key)
        kept = self.kept_headers()
        copied = self.headers.get("x-goog-copy-source")
        if copied:
            source, _, source_key = copied.lstrip("/").partition("/")
            original = self.store.object(unquote(source), unquote(source_key))
            body, kept = original.data, original.kept
        return Answer(200, headers=self.store.put(bucket, key, body, kept).headers())

    def answer_upload(self, bucket, key, query, body):
        if self.command == "POST" and "uploads" in query:
            upload_id = self.store.begin_upload(bucket, key, self.kept_headers())
            fields = [element("Bucket", bucket), element("Key", key)]
            fields.append(element("UploadId", upload_id))
            return xml(200, element("InitiateMultipartUploadResult", fields))
        upload_id = query.get("uploadId", "")
        upload = self.store.upload(bucket, key, upload_id)
        if self.command == "DELETE":
            del self.store.uploads[upload_id]
            return Answer(204)
        if self.command == "PUT":
            etag = etag_of(body)
            upload.parts[int(query["partNumber"])] = (etag, body)
            return Answer(200, headers={"ETag": etag})
        if self.command == "POST":
            self.check_generation(bucket, key)
            stored = self.store.complete_upload(upload_id, listed_parts(body))
            fields = [element("Bucket", bucket), element("Key", key), element("ETag", stored.etag)]
            generation = {"x-goog-generation": stored.generation}
            return xml(200, element("CompleteMultipartUploadResult", fields), generation)
        raise Refused(405, "MethodNotAllowed")

    def check_generation(self, bucket, key):
        self.store.check_generation(bucket, key, self.headers.get("x-goog-if-generation-match"))

    def kept_headers(self):
        names = {name.lower() for name in self.headers}
        kept = {name for name in names if name in KEPT_HEADERS or name.startswith(METADATA_PREFIX)}
        return {name: self.headers[name] for name in sorted(kept)}


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Handler) as server:
        print("listening on http://127.0.0.1:%d" % server.server_address[1], flush=True)
        server.serve_forever()
