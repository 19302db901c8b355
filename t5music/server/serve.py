"""Serve: starts the server and stops it cleanly (`t5music serve`)."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import ThreadingHTTPServer
from typing import Any

from t5music import __version__
from t5music.errors import ConfigError
from t5music.inference import model as models
from t5music.inference.model import Model
from t5music.server import schema, work
from t5music.server.http_api import Handler, is_address
from t5music.server.jobs import Jobs
from t5music.server.limits import Limits

HERE = "127.0.0.1"
PORT = 8765
_READERS = 2  # pieces that are read at the same time


class MusicServer(ThreadingHTTPServer):
    """The server: a model, its jobs, and connections.

    Attributes:
        limits: what it bears.
        abilities: what the model can be asked; see `schema.abilities`.
        worker: does jobs.
        jobs: the queue.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        model: Model,
        *,
        host: str = HERE,
        port: int = PORT,
        names: Sequence[str] = (),
        limits: Limits | None = None,
        sound_font: str | None = None,
    ) -> None:
        """Binds an address.

        Args:
            model: what answers.
            host: name or address of this machine to listen at; 127.0.0.1 is reached from this machine alone.
            port: to listen at; 0 for any that is free.
            names: host names under which the page is opened, beside `host`, localhost and addresses.
            limits: what the server bears.
            sound_font: what plays; the one that is found on this machine if None.

        Raises:
            ConfigError: the address cannot be had.
        """
        self.limits = limits or Limits()
        self.abilities = schema.abilities(model, self.limits)
        if not self.abilities:
            raise ConfigError(f"{model.name} has no task that can be served: it cannot {', '.join(schema.ALL)}")
        some_music = next((ability["schema"] for ability in self.abilities.values() if ability["needs_music"]), None)
        properties = some_music["properties"] if some_music else {"music": {"type": "string"}}
        shown = {name: properties[name] for name in ("music", "name") if name in properties}
        self.look_schema = {"properties": shown, "required": ["music"]}
        self.reading = threading.Semaphore(_READERS)
        self._names = {"localhost", host.lower(), *(name.lower() for name in names)}
        self._model = model
        self._free = threading.Semaphore(self.limits.connections)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"--host {host} --port {port}: cannot listen there: {reason}; choose another port"
            ) from error
        self.worker = work.Worker(model, self.limits, sound_font)
        self.jobs = Jobs(self.worker, self.limits)

    @property
    def url(self) -> str:
        """The address of the page."""
        host, port = self.server_address[:2]
        shown = HERE if host in ("0.0.0.0", "::") else str(host)
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"

    def is_own_name(self, name: str) -> bool:
        """Whether a request may call this host so."""
        return name in self._names or is_address(name)

    def about(self) -> dict[str, Any]:
        """What `GET /api` says."""
        return {
            "t5music": __version__,
            "model": self._model.name,
            "abilities": self.abilities,
            "formats": work.formats(),
            "limits": {
                "megabytes": self.limits.megabytes,
                "notes": self.limits.notes,
                "minutes": self.limits.minutes,
                "seconds": self.limits.seconds,
                "keep_minutes": self.limits.keep_minutes,
            },
        }

    def server_bind(self) -> None:
        """Binds, without asking the network for this machine's name, as Python's own server would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Takes a connection, or closes it where there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection in a thread of its own."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of connections that break; what goes wrong in a request is said by the handler."""

    def close(self) -> None:
        """Ends the jobs, then the connections."""
        self.jobs.stop()
        self.server_close()


def serve(
    model_dir: str,
    checkpoint: str,
    *,
    until: Callable[[], object] | None = None,
    **settings: Any,
) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Args:
        model_dir: the model, as `load` takes it.
        checkpoint: likewise.
        until: waits in place of the signals.
        settings: as of `MusicServer`.

    Raises:
        CheckpointError: a model that is missing or damaged.
        ConfigError: a model without a task that can be served, or an address that cannot be had.
    """
    server = MusicServer(models.load(model_dir, checkpoint), **settings)
    thread = threading.Thread(target=server.serve_forever, name="connections", daemon=True)
    thread.start()
    print(f"{server.url}  (Ctrl-C ends it)", flush=True)
    try:
        (until or _wait_for_a_signal)()
    finally:
        server.shutdown()
        server.close()
        thread.join()
    print("the server has ended")


def _wait_for_a_signal() -> None:
    """Waits for Ctrl-C or SIGTERM."""
    ended = threading.Event()
    former = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not ended.wait(0.5):  # a wait without an end cannot be interrupted everywhere
            pass
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
