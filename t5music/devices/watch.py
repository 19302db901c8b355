"""Watch: ends the processes of a group when one of them has ended, with a line that says which.

Without it the others wait for the dead one until JAX's heartbeat notices, and then end with a stack of C++. Here every
process keeps a connection to process 0. The system closes a connection when its process ends, however it ends; where a
machine or the network is gone, the connection's own probes notice. Process 0 then tells the others.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

STATUS = 2  # as of an error that is printed as one line
GRACE = 2.0  # seconds in which a process reports its own error where another one has reported an error
_PROBES = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 20_000}  # 20 seconds in all


@dataclass
class _Peer:
    """The other end of a connection.

    Attributes:
        number: of its process; None until it has said it.
        host: its machine.
        failed: it has reported an error of its own and is about to end.
        text: what has arrived of its next message.
    """

    number: int | None = None
    host: str = ""
    failed: bool = False
    text: bytes = b""


class Watch:
    """This process's connections to others, watched by a thread until this process says goodbye."""

    def __init__(self, process_id: int, processes: int) -> None:
        """Begins to watch; `listen` or `connect` says whom.

        Args:
            process_id: number of this process.
            processes: how many there are.
        """
        self._process_id, self._processes = process_id, processes
        self._peers: dict[socket.socket, _Peer] = {}
        self._selector = selectors.DefaultSelector()
        self._over = False

    def listen(self) -> int:
        """Process 0: waits for the others; returns the port at which it does."""
        if socket.has_dualstack_ipv6():
            server = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        else:
            server = socket.create_server(("", 0), backlog=1024)
        self._selector.register(server, selectors.EVENT_READ)
        self._start()
        return int(server.getsockname()[1])

    def connect(self, host: str, port: int) -> None:
        """Any other process: connects to process 0. Where that cannot be reached so, JAX alone notices its end."""
        with contextlib.suppress(OSError):
            connection = socket.create_connection((host, port), timeout=10)
            connection.settimeout(None)
            self._add(connection, _Peer(0, host))
            _send(connection, {"process": self._process_id, "host": socket.gethostname()})
            self._start()

    def goodbye(self) -> None:
        """Tells the others that this process ends because its work is done."""
        self._over = True
        self._tell({"bye": True})

    def fail(self) -> None:
        """Tells the others that this process ends with an error of its own, which they may have, too."""
        self._over = True
        self._tell({"failed": True})

    def lose(self) -> None:
        """Ends this process where JAX has lost the others; the watch says it first if it knows which has ended."""
        time.sleep(GRACE)
        self._leave("another process")

    def _start(self) -> None:
        atexit.register(self.goodbye)
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _add(self, connection: socket.socket, peer: _Peer) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._peers[connection] = peer
        self._selector.register(connection, selectors.EVENT_READ)

    def _tell(self, message: dict[str, Any]) -> None:
        for connection in list(self._peers):
            _send(connection, message)

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(timeout=1.0):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                if connection in self._peers:
                    self._hear(connection, self._peers[connection])
                else:
                    with contextlib.suppress(OSError):
                        self._add(connection.accept()[0], _Peer())

    def _hear(self, connection: socket.socket, peer: _Peer) -> None:
        """Reads from a connection that has something to say, or has ended."""
        try:
            text = connection.recv(4096)
        except OSError:
            text = b""
        if not text:
            self._remove(connection)
            if peer.number is not None:
                self._end(peer.number, peer.host, peer.failed)
            return
        *lines, peer.text = (peer.text + text).split(b"\n")
        for message in map(json.loads, lines):
            if "process" in message:
                peer.number, peer.host = message["process"], message["host"]
            elif "ended" in message:
                self._end(message["ended"], message["host"], message["failed"])
            elif "failed" in message:
                peer.failed = True
            elif "bye" in message:
                self._remove(connection)

    def _remove(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._peers[connection]
        connection.close()

    def _end(self, number: int, host: str, failed: bool) -> None:
        """Tells the others, and ends this process; one that has an error of its own says that first."""
        self._tell({"ended": number, "host": host, "failed": failed})
        if failed:
            time.sleep(GRACE)
        if not self._over:
            self._leave(f"process {number} of {self._processes} (on {host})")

    def _leave(self, which: str) -> None:
        sys.stdout.flush()
        print(
            f"\nt5music: error: {which} has ended; its own output says why. Start the same command on every machine "
            "again: it goes on from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        os._exit(STATUS)


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # it has gone; whoever reads from it notices
        connection.sendall(json.dumps(message).encode() + b"\n")
