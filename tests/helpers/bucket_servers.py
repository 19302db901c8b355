"""Servers of buckets on this machine, which fail on demand: Google's kind (gcp-storage-emulator) and S3's (moto)."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.server import RequestHandler, Router
from gcp_storage_emulator.storage import Storage

Fault = Callable[[str, str], int | float | None]  # of a request's method and URL: a status, seconds to wait, or None


class PreconditionFailedError(Exception):
    """An object is not of the generation that a request names."""


class _ConditionalStorage(Storage):
    """The emulator's storage with `ifGenerationMatch`, which it does not know."""

    generation: int | None = None  # that the current request names

    def create_file(self, bucket_name, file_name, content, file_obj, file_id=None):
        self._check(bucket_name, file_name)
        return super().create_file(bucket_name, file_name, content, file_obj, file_id)

    def delete_file(self, bucket_name, file_name, *arguments, **named):
        self._check(bucket_name, file_name)
        return super().delete_file(bucket_name, file_name, *arguments, **named)

    def generation_at(self, path: str) -> int | None:
        """The generation of the object that a request's path names; None if it names none."""
        match = re.search(r"/b/([^/]+)/o/(.+)$", path)
        entry = self.objects.get(match[1], {}).get(unquote(match[2])) if match else None
        return int(entry["generation"]) if entry else None

    def _check(self, bucket: str, name: str) -> None:
        current = self.objects.get(bucket, {}).get(name)
        if self.generation is not None and self.generation != int(current["generation"] if current else 0):
            raise PreconditionFailedError(name)

    def _write_config_to_file(self):
        """Nothing: all is in memory, and writing it down takes longer the more objects there are."""


class _Handler(RequestHandler):
    generation: int | None = None  # of the object that is read

    def _answer(self, method: str) -> None:
        server: GoogleBuckets = self.server  # type: ignore[assignment]
        server.requests.append((method, self.path))
        fault = server.fault(method, self.path)
        if isinstance(fault, float):
            time.sleep(fault)
        elif fault is not None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return self._send(fault)
        with server.serialised:
            query = parse_qs(urlsplit(self.path).query)
            self.generation = self.storage.generation_at(urlsplit(self.path).path) if method == "GET" else None
            self.storage.generation = int(query["ifGenerationMatch"][0]) if "ifGenerationMatch" in query else None
            try:
                return Router(self).handle(method)
            except PreconditionFailedError:
                return self._send(412)
            except (BrokenPipeError, ConnectionResetError):  # the client was killed
                return None

    def end_headers(self) -> None:
        if self.generation is not None:  # TensorStore writes under the condition that it has not changed
            self.send_header("x-goog-generation", str(self.generation))
        super().end_headers()

    def _send(self, status: int) -> None:
        content = json.dumps({"error": {"code": status, "message": f"status {status} on demand"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = lambda self: self._answer("GET")  # noqa: E731, N815
    do_POST = lambda self: self._answer("POST")  # noqa: E731, N815
    do_PUT = lambda self: self._answer("PUT")  # noqa: E731, N815
    do_PATCH = lambda self: self._answer("PATCH")  # noqa: E731, N815
    do_DELETE = lambda self: self._answer("DELETE")  # noqa: E731, N815


class GoogleBuckets(ThreadingHTTPServer):
    """A server of Google's buckets, in memory.

    Attributes:
        fault: how a request fails; none does by default.
        requests: (method, URL) of each so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.storage = _ConditionalStorage(use_memory_fs=True)
        self.serialised = threading.RLock()
        self.requests: list[tuple[str, str]] = []
        self.fault: Fault = lambda method, url: None
        super().__init__(("127.0.0.1", 0), partial(_Handler, self.storage))

    @property
    def address(self) -> str:
        """http://127.0.0.1:PORT."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add_bucket(self, name: str) -> None:
        """Makes an empty bucket."""
        with self.serialised:
            buckets.create_bucket(name, self.storage)

    def names(self, bucket: str) -> list[str]:
        """The names of a bucket's objects, in order."""
        with self.serialised:
            return sorted(self.storage.objects.get(bucket, {}))

    def content(self, bucket: str, name: str) -> bytes:
        """An object's content."""
        with self.serialised:
            return self.storage.get_file(bucket, name)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that tests kill break their connections."""


@contextlib.contextmanager
def s3_buckets() -> Iterator[str]:
    """Starts a server of S3's buckets, gives its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextlib.contextmanager
def google_buckets() -> Iterator[GoogleBuckets]:
    """Starts a server, and stops it."""
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    for name in ("api.object", "api.bucket"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with GoogleBuckets() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
