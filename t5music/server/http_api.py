"""The HTTP API: routes, and what is refused before anything is done.

    GET    /                              the page
    GET    /api                           what the model can, with a JSON Schema for each request
    POST   /api/look                      {"music", "name"} -> its piano roll and length
    POST   /api/ABILITY                   a request -> {"job", ...}, 202
    GET    /api/jobs/JOB?since=VERSION    how far it is; waits until it is further than VERSION
    DELETE /api/jobs/JOB                  cancels it
    GET    /api/jobs/JOB/N/roll           the piano roll of result N (from 0), so far; also /sound, and /file.SUFFIX
    GET    /api/jobs/JOB/page.html        all results in one file

Errors are {"error": words}. A page of another host cannot use the API: a request must name this host, and come from a
page of it where it comes from a page at all.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from t5music import __version__
from t5music.errors import T5MusicError
from t5music.inference.player.page import asset
from t5music.server import work
from t5music.server.jobs import WAITING, BusyError, Job
from t5music.server.schema import checked

if TYPE_CHECKING:
    from t5music.server.serve import MusicServer

LONGEST_WAIT = 20.0  # seconds that a question for news waits
CLIENT = "X-T5music-Client"  # a word by which a browser's tab is told from others
_CLIENT = re.compile(r"[A-Za-z0-9_-]{8,64}")
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# Of what is made of music: a picture has its own style sheet, a page all that it needs; neither may fetch anything.
_FILE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:; "
    "sandbox allow-scripts allow-downloads"
)
_ASSETS = {"/": ("index.html", "text/html"), "/page.css": ("page.css", "text/css"),
           "/page.js": ("page.js", "text/javascript")}  # fmt: skip
_PLAYER = {"/player.css": ("player.css", "text/css"), "/player.js": ("player.js", "text/javascript")}


class RefusedError(Exception):
    """A request that is refused: a status, and words."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: MusicServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"t5music/{__version__}", ""

    def setup(self) -> None:
        """Sets how long a connection may be silent."""
        super().setup()
        self.connection.settimeout(self.server.limits.patience)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing: what people send is nobody else's business."""

    # ---------------------------------------------------------------------------------------------------- routes

    def _get(self, path: str, query: dict[str, str]) -> None:
        if path in _ASSETS:
            name, kind = _ASSETS[path]
            self._send(resources.files(__package__).joinpath("page", name).read_bytes(), f"{kind}; charset=utf-8")
        elif path in _PLAYER:
            name, kind = _PLAYER[path]
            self._send(asset(name).encode(), f"{kind}; charset=utf-8")
        elif path == "/api":
            self._send_json(self.server.about())
        elif match := re.fullmatch(r"/api/jobs/([\w-]+)", path):
            self._news(self._job(match[1]), query.get("since", ""))
        elif match := re.fullmatch(r"/api/jobs/([\w-]+)/page\.html", path):
            job = self._job(match[1])
            self._require_results(job, 0)
            self._send_file(
                self.server.worker.file(job, 0, ".html"), ".html", work.about_result(job.results[0])["stem"]
            )
        elif match := re.fullmatch(r"/api/jobs/([\w-]+)/(\d{1,3})/(roll|sound|file(\.\w{2,8}))", path):
            self._of_result(self._job(match[1]), int(match[2]), match[3], match[4])
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing at this address")

    def _post(self, path: str, query: dict[str, str]) -> None:
        ability = path.removeprefix("/api/")
        request = self._json()
        if path == "/api/look":
            fields = checked(request, self.server.look_schema)
            with self.server.reading:
                self._send_json(work.look(work.read(fields, self.server.limits)))
            return
        if ability not in self.server.abilities:
            names = ", ".join(self.server.abilities)
            raise RefusedError(HTTPStatus.NOT_FOUND, f"this model can {names}; there is nothing at this address")
        fields = checked(request, self.server.abilities[ability]["schema"])
        job = self.server.jobs.add(self._client(), ability, fields)
        self._send_json(self._state(job), HTTPStatus.ACCEPTED)

    def _delete(self, path: str, query: dict[str, str]) -> None:
        match = re.fullmatch(r"/api/jobs/([\w-]+)", path)
        if match is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing at this address")
        job = self._job(match[1])
        self.server.jobs.cancel(job)
        self._send_json(self._state(job))

    def _of_result(self, job: Job, number: int, what: str, suffix: str | None) -> None:
        self._require_results(job, number)
        if what == "roll":
            self._send(job.results[number].roll.svg.encode(), "image/svg+xml", policy=_FILE_POLICY)
        elif what == "sound":
            content, mime = self.server.worker.page_sound(job, number)
            self._send(content, mime, policy=_FILE_POLICY)
        elif suffix in work.formats() and suffix != ".html":
            stem = work.about_result(job.results[number])["stem"]
            self._send_file(self.server.worker.file(job, number, suffix), suffix, stem)
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"files can end in {', '.join(work.formats())}")

    def _news(self, job: Job, since: str) -> None:
        if since.isascii() and since.isdecimal():
            self.server.jobs.wait(job, int(since[:12]), LONGEST_WAIT)
        self._send_json(self._state(job))

    # -------------------------------------------------------------------------------------------------- requests

    def _answer(self, route: Any) -> None:
        """Answers a request; whatever goes wrong is said in words."""
        self._body_is_read = not {"Content-Length", "Transfer-Encoding"} & {*map(str.title, self.headers)}
        try:
            self._require_own_page()
            path, _, query = self.path.partition("?")
            route(path, {name: values[-1] for name, values in parse_qs(query).items()})
        except RefusedError as error:
            self._send_error(error.status, str(error))
        except BusyError as error:
            self._send_error(HTTPStatus.TOO_MANY_REQUESTS, str(error))
        except T5MusicError as error:
            self._send_error(HTTPStatus.UNPROCESSABLE_ENTITY, work.without_dashes(str(error)))
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:
            import traceback

            traceback.print_exc()
            self._send_error(
                HTTPStatus.INTERNAL_SERVER_ERROR, "an error of t5music's own; the server has printed where it is"
            )
        if not self._body_is_read:
            self.close_connection = True  # what is left of the body is no request

    def _require_own_page(self) -> None:
        """Refuses what another host's page may have sent, and names that are not this host's (DNS rebinding)."""
        host = self.headers.get("Host", "")
        if not self.server.is_own_name(_name_of(host)):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server does not go by that name: open it by the address that it printed, or start it with --name",
            )
        origin = self.headers.get("Origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            raise RefusedError(HTTPStatus.FORBIDDEN, "pages of other hosts may not use this server")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            is_visit = self.headers.get("Sec-Fetch-Mode") == "navigate" and self.command == "GET"
            if not is_visit or self.path.startswith("/api"):
                raise RefusedError(HTTPStatus.FORBIDDEN, "pages of other hosts may not use this server")

    def _json(self) -> Any:
        """The JSON of a request's body."""
        if self.headers.get_content_type() != "application/json":  # a form of another page cannot send this
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, with Content-Type: application/json")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal() and len(length) < 16) or self.headers.get("Transfer-Encoding"):
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "send the request whole, with a Content-Length")
        if int(length) > self.server.limits.body:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the file is larger than {self.server.limits.megabytes:g} MB, more than this server takes",
            )
        body, deadline = b"", time.monotonic() + self.server.limits.patience
        while len(body) < int(length):
            part = self.rfile.read1(min(int(length) - len(body), 65_536))
            if not part or time.monotonic() > deadline:
                raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "the request did not come whole in time: send it again")
            body += part
        self._body_is_read = True
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "this is not JSON") from None

    def _client(self) -> str:
        """Who takes turns: a browser's tab, or whoever is at an address."""
        word = self.headers.get(CLIENT, "")
        return f"{self.client_address[0]} {word if _CLIENT.fullmatch(word) else ''}"

    def _job(self, name: str) -> Job:
        job = self.server.jobs.find(name)
        if job is None:
            minutes = self.server.limits.keep_minutes
            raise RefusedError(
                HTTPStatus.NOT_FOUND, f"there is no such answer; answers are kept for {minutes:g} minutes: ask again"
            )
        return job

    def _require_results(self, job: Job, number: int) -> None:
        if not number < len(job.results):
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such result, or not yet")

    # --------------------------------------------------------------------------------------------------- answers

    def _state(self, job: Job) -> dict[str, Any]:
        """A job as JSON."""
        ahead = self.server.jobs.ahead(job)
        return {
            "job": job.name,
            "ability": job.ability,
            "state": job.state,
            "version": job.version,
            "ahead": ahead,
            "told": _told(job, ahead),
            "bar": job.bars,
            "words": job.words[0],
            "words_at_most": job.words[1],
            "variants": job.fields.get("variants", 1),
            "seconds": round(job.seconds_worked, 2),
            "error": work.without_dashes(job.error),
            "labels": job.labels,
            "results": [work.about_result(result) for result in job.results],
        }

    def _send_json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _send_error(self, status: HTTPStatus, words: str) -> None:
        self.close_connection |= not self._body_is_read  # which the answer says
        headers = {"Retry-After": "10"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
        self._send(json.dumps({"error": words}).encode(), "application/json", status, headers=headers)

    def _send_file(self, content: bytes, suffix: str, stem: str) -> None:
        name = quote(f"{stem}{suffix}", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        self._send(content, work.TYPES[suffix], policy=_FILE_POLICY, headers=headers)

    def _send(
        self,
        content: bytes,
        kind: str,
        status: HTTPStatus = HTTPStatus.OK,
        *,
        policy: str = _PAGE_POLICY,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
        fixed = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        for name, value in (fixed | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _told(job: Job, ahead: int) -> str:
    """What is told to a person who waits."""
    if job.state != WAITING:
        return ""
    return "you are next" if ahead <= 1 else f"{ahead} others are served before you"


def _name_of(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a host's name is an IP address, which no other host's name can be made to mean."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
