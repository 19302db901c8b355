"""Processes: several that compute as one check in with the first of them, and only when all are there does JAX begin.

JAX's own start aborts a process, from C++ and without a count, when another does not show up. So before it the
processes meet at the same address: process 0 listens, each of the others says its number, and all learn who is there.
When the wait is over everybody who came gets an error that names who did not. From then on they watch each other
(`watch`), so that all end when one does.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time
from collections.abc import Collection
from typing import Any, NamedTuple, NoReturn

from t5music.devices import aborts
from t5music.devices.watch import GRACE, Watch
from t5music.errors import ConfigError

WAIT = 300.0  # seconds
# A process that has died is noticed after so many seconds at the latest; a broken connection tells the others at once.
HEARTBEAT_TIMEOUT = 30
_watch: Watch | None = None  # of this process, where it computes together with others
_RETRY = 0.2  # seconds between two attempts to reach process 0
_GRACE = 2.0  # seconds in which the last word of process 0 arrives


class Place(NamedTuple):
    """This process among all.

    Attributes:
        coordinator: "host:port" of process 0.
        processes: how many there are.
        process_id: number of this one, from 0.
        local_devices: the devices of this machine that are its own; None for all.
    """

    coordinator: str
    processes: int
    process_id: int
    local_devices: list[int] | None = None


def place_from_flags(coordinator: str | None, processes: int | None, process_id: int | None) -> Place:
    """Returns the place that the three flags describe; ConfigError names one that is missing or cannot be."""
    if coordinator is None or processes is None or process_id is None:
        flags = {"--coordinator": coordinator, "--processes": processes, "--process_id": process_id}
        missing = ", ".join(name for name, value in flags.items() if value is None)
        raise ConfigError(f"--coordinator, --processes and --process_id go together: {missing} is missing")
    host, _, port = coordinator.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and len(port) <= 5) or not 0 < int(port) < 2**16:
        raise ConfigError(
            f"--coordinator {coordinator}: write HOST:PORT, the address of process 0 and a free port there"
        )
    if processes < 1:
        raise ConfigError(f"--processes must be at least 1, not {processes}")
    if not 0 <= process_id < processes:
        raise ConfigError(
            f"--process_id must be from 0 to {processes - 1} for --processes {processes}, not {process_id}"
        )
    return Place(coordinator, processes, process_id)


def place_from_cluster(wait: float = WAIT) -> Place:
    """Returns the place that a cluster gives this process, found as JAX finds it: Cloud TPU, SLURM, Open MPI ...

    Raises ConfigError where there is no such cluster.
    """
    from jax._src.clusters import ClusterEnv  # what jax.distributed.initialize() asks; it has no public name

    try:
        parameters = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, int(wait))
    except Exception as error:  # a cluster's own lookup may fail in any way
        raise ConfigError(f"--distributed: the cluster's environment cannot be read: {error}") from error
    coordinator, processes, process_id, local_devices = parameters
    if coordinator is None or processes is None or process_id is None:
        raise ConfigError(
            "--distributed: no Cloud TPU, SLURM, Open MPI or Kubernetes job found here; "
            "use --coordinator HOST:PORT --processes N --process_id I"
        )
    return Place(coordinator, int(processes), int(process_id), None if local_devices is None else list(local_devices))


def join(place: Place, wait: float = WAIT) -> None:
    """Waits until all processes are there, then starts JAX among them. Call it before anything asks JAX for devices.

    Raises ConfigError, in every process that came, when the others did not in `wait` seconds.
    """
    import jax

    global _watch
    first = place.process_id == 0
    watch = Watch(place.process_id, place.processes) if place.processes > 1 else None
    port = check_in(place, wait, watch.listen() if watch and first else 0)
    if watch and not first:
        watch.connect(place.coordinator.rpartition(":")[0].strip("[]"), port)
    _watch = watch
    if watch:
        aborts.hold(watch.lose)
    jax.distributed.initialize(
        place.coordinator,
        num_processes=place.processes,
        process_id=place.process_id,
        local_device_ids=place.local_devices,
        cluster_detection_method="deactivate",
        initialization_timeout=max(int(wait), 1),
        heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
        shutdown_timeout_seconds=HEARTBEAT_TIMEOUT,
    )


def joined() -> bool:
    """Returns whether this process computes together with others."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def leave(status: int) -> NoReturn:
    """Ends a process that cannot go on, at once: JAX would have it wait for the others, and them for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if _watch is not None:
        _watch.fail()
    os._exit(status)


def await_end() -> None:
    """Has this process, whose computation with others failed, wait a moment: if one has ended, it ends with a line."""
    if _watch is not None:
        time.sleep(2 * GRACE)


def check_in(place: Place, wait: float = WAIT, watch_port: int = 0) -> int:
    """Meets the other processes; returns when all are there.

    Args:
        place: of this process.
        wait: seconds to wait for the others.
        watch_port: where process 0 listens to those that it watches.

    Returns:
        The `watch_port` of process 0.

    Raises:
        ConfigError: names how many were expected, how many seen and which are missing.
    """
    if place.processes == 1:
        return watch_port
    host, _, port = place.coordinator.rpartition(":")
    deadline = time.monotonic() + wait
    if place.process_id == 0:
        _receive(place, int(port), wait, deadline, watch_port)
        return watch_port
    return _report(place, (host.strip("[]"), int(port)), wait, deadline)


def _missing(place: Place, seen: Collection[int], wait: float) -> str:
    absent = [number for number in range(place.processes) if number not in seen]
    return (
        f"{place.processes} processes expected at {place.coordinator}, {len(seen)} seen in {wait:g} seconds; missing: "
        f"{', '.join(map(str, absent))}. Start them with the same --coordinator and --processes, or use a longer --wait"
    )


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # it has gone; whoever reads from it next will notice
        connection.sendall(json.dumps(message).encode() + b"\n")


def _listen(port: int, coordinator: str) -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        return socket.create_server(("", port), backlog=1024)
    except OSError as error:
        raise ConfigError(
            f"process 0 cannot listen at --coordinator {coordinator}: {error.strerror}; choose another port"
        ) from error


def _receive(place: Place, port: int, wait: float, deadline: float, watch_port: int) -> None:
    """Process 0: collects the others until all are there or the time is over, and tells everybody."""
    connections: dict[int, socket.socket] = {}  # process -> its connection
    unidentified: dict[socket.socket, bytes] = {}  # connection -> what it has sent so far
    problem: str | None = None
    with _listen(port, place.coordinator) as server:
        print(f"waiting for {place.processes - 1} other processes at {place.coordinator}", file=sys.stderr)
        while len(connections) < place.processes - 1 and problem is None and time.monotonic() < deadline:
            watched = [server, *unidentified, *connections.values()]
            ready, _, _ = select.select(watched, [], [], max(deadline - time.monotonic(), 0))
            for connection in ready:
                if connection is server:
                    unidentified[server.accept()[0]] = b""
                    continue
                text = _read(connection)
                if not text:  # it has gone
                    unidentified.pop(connection, None)
                    connections = {number: other for number, other in connections.items() if other is not connection}
                    connection.close()
                elif connection in unidentified:
                    unidentified[connection] += text
                    if b"\n" in text:
                        problem = problem or _greet(place, unidentified.pop(connection), connection, connections)
            for other in connections.values():
                _send(other, {"seen": [0, *sorted(connections)]})
    if problem is None and len(connections) < place.processes - 1:
        problem = _missing(place, {0, *connections}, wait)
    for other in connections.values():
        _send(other, {"go": True, "watch": watch_port} if problem is None else {"problem": problem})
    for connection in (*connections.values(), *unidentified):
        # Whoever closes first keeps the port busy for a while: let that be the others.
        connection.settimeout(_GRACE)
        _read(connection)
        connection.close()
    if problem is not None:
        raise ConfigError(problem)


def _read(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except OSError:
        return b""


def _greet(
    place: Place, message: bytes, connection: socket.socket, connections: dict[int, socket.socket]
) -> str | None:
    """Enters a process that has sent who it is; returns what is wrong with it, None when it fits."""
    try:
        hello = json.loads(message)
        number, processes = int(hello["process"]), int(hello["processes"])
    except (ValueError, KeyError, TypeError):
        connection.close()  # not one of ours
        return None
    clash = number in connections or number == 0
    # With a number that is taken it is entered under another, so that it hears of the problem as well.
    connections[-1 - len(connections) if clash else number] = connection
    if processes != place.processes:
        return (
            f"process {number} was started with --processes {processes}, process 0 with --processes {place.processes}"
        )
    return f"two processes at {place.coordinator} were started with --process_id {number}" if clash else None


def _report(place: Place, address: tuple[str, int], wait: float, deadline: float) -> int:
    """Any other process: says its number to process 0 and waits for its word; returns the port of its watch."""
    connection = None
    while connection is None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ConfigError(
                f"{place.processes} processes expected at {place.coordinator}, but process 0 did not answer there "
                f"in {wait:g} seconds (this is process {place.process_id}): is it running, and is that its address?"
            )
        try:
            connection = socket.create_connection(address, timeout=left)
        except OSError:
            time.sleep(min(_RETRY, left))
    buffer, seen = b"", [0, place.process_id]
    with connection:
        _send(connection, {"process": place.process_id, "processes": place.processes})
        while True:
            connection.settimeout(max(deadline - time.monotonic(), 0) + _GRACE)
            try:
                text = connection.recv(4096)
            except TimeoutError:
                raise ConfigError(_missing(place, seen, wait)) from None
            except OSError:
                text = b""
            if not text:
                raise ConfigError(f"process 0 at {place.coordinator} ended before all processes were there")
            *lines, buffer = (buffer + text).split(b"\n")
            for message in map(json.loads, lines):
                seen = message.get("seen", seen)
                if message.get("go"):
                    return int(message["watch"])
                if "problem" in message:
                    raise ConfigError(message["problem"])
