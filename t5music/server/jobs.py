"""Jobs: what clients asked for, one computed at a time by a thread of its own, in fair turns.

They are forgotten after a while. All is in memory: nothing is written to disk.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from t5music.errors import T5MusicError
from t5music.inference.result import Result
from t5music.server.limits import Limits
from t5music.server.turns import Turns

WAITING, WORKING, DONE, FAILED, CANCELLED = "waiting", "working", "done", "failed", "cancelled"
LONGEST_STOP = 30.0  # seconds that a step of the model may take when it is to end
_OVER = (DONE, FAILED, CANCELLED)


class BusyError(Exception):
    """Too many requests wait; the message says what to do."""


@dataclass(eq=False)
class Job:
    """A request, and how far it is.

    Attributes:
        client: who asked.
        ability: what was asked: "continue", "classify" ...
        fields: the request's, checked.
        name: that nobody can guess.
        state: one of the words above.
        version: counts the changes.
        results: the music so far, one for each variant that is begun; when all are written, the best one first.
        labels: label -> probability, of a classification.
        bars: the number of the last bar that was given out, of the variant that is being written.
        words: how many words of that variant are written, and how many there may be.
        error: what went wrong, in words for a person.
        times: state -> when it began.
    """

    client: str
    ability: str
    fields: Mapping[str, Any]
    name: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: str = WAITING
    version: int = 0
    results: list[Result] = field(default_factory=list)
    labels: dict[str, float] | None = None
    bars: int = 0
    words: tuple[int, int] = (0, 0)
    error: str = ""
    times: dict[str, float] = field(default_factory=dict)
    looked_at: float = field(default_factory=time.monotonic)
    files: dict[str, bytes] = field(default_factory=dict)  # that were made of the results

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in _OVER

    @property
    def seconds_worked(self) -> float:
        """How long the model has been at it."""
        if WORKING not in self.times:
            return 0.0
        return (self.times[self.state] if self.is_over else time.monotonic()) - self.times[WORKING]


Work = Callable[[Job, Callable[[], None], Callable[[], bool]], None]


class Jobs:
    """The jobs of a server, and the thread that does them.

    Args:
        work: does a job: `work(job, changed, is_stopped)` fills it in, calls `changed` whenever there is more, and ends
            early where `is_stopped()`.
        limits: how many may wait, and how long they are kept.
    """

    def __init__(self, work: Work, limits: Limits) -> None:
        self._work, self._limits = work, limits
        self._turns: Turns[Job] = Turns()
        self._jobs: dict[str, Job] = {}
        self._change = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def add(self, client: str, ability: str, fields: Mapping[str, Any]) -> Job:
        """Puts a request into the queue. Raises BusyError where too many wait."""
        with self._change:
            if self._turns.count(client) >= self._limits.waiting_each:
                raise BusyError(
                    f"{self._limits.waiting_each} of your requests wait already: wait until one is done, or cancel one"
                )
            if len(self._turns) >= self._limits.waiting:
                raise BusyError(f"{len(self._turns)} requests wait already: try again in some minutes")
            job = Job(client, ability, fields)
            self._jobs[job.name] = job
            self._turns.add(client, job)
            self._set(job, WAITING)
            return job

    def find(self, name: str) -> Job | None:
        """The job of this name, if it is still kept."""
        with self._change:
            job = self._jobs.get(name)
            if job is not None:
                job.looked_at = time.monotonic()
            return job

    def ahead(self, job: Job) -> int:
        """How many are served before a job that waits, with the one that is being served."""
        with self._change:
            if job.state != WAITING:
                return 0
            working = any(other.state == WORKING for other in self._jobs.values())
            return working + next((place for place, other in enumerate(self._turns) if other is job), 0)

    def wait(self, job: Job, version: int, seconds: float) -> None:
        """Waits until a job is further than a version, or so many seconds."""
        with self._change:
            self._change.wait_for(lambda: job.version > version or job.is_over or self._ended, seconds)

    def cancel(self, job: Job) -> None:
        """Ends a job: at once if it waits, at the next words if the model is at it."""
        with self._change:
            self._turns.remove(job.client, job)
            if not job.is_over:
                self._set(job, CANCELLED)

    def stop(self) -> None:
        """Cancels all jobs and waits for the thread."""
        with self._change:
            for job in self._jobs.values():
                if not job.is_over:
                    self._set(job, CANCELLED)
            self._ended = True
            self._change.notify_all()
        self._thread.join(timeout=LONGEST_STOP)

    def _set(self, job: Job, state: str) -> None:
        job.state = state
        job.times[state] = time.monotonic()
        self._changed(job)

    def _changed(self, job: Job) -> None:
        """Says that a job is further, and that others may be nearer."""
        job.version += 1
        for other in self._turns:
            other.version += 1
        self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._ended or len(self._turns) > 0, timeout=5)
                self._forget()
                if self._ended:
                    return
                if not len(self._turns):
                    continue
                job = self._turns.take()
                self._set(job, WORKING)
            self._do(job)

    def _do(self, job: Job) -> None:
        deadline = time.monotonic() + self._limits.seconds

        def changed() -> None:
            with self._change:
                job.version += 1
                self._change.notify_all()

        def is_stopped() -> bool:
            return job.state != WORKING or time.monotonic() > deadline

        error = ""
        try:
            self._work(job, changed, is_stopped)
        except T5MusicError as problem:
            error = str(problem)
        except Exception as problem:  # whatever it is, the server goes on
            import traceback

            traceback.print_exc()
            error = f"an error of t5music's own ({type(problem).__name__}); the server has printed where it is"
        if not error and time.monotonic() > deadline:
            error = (
                f"this took longer than {self._limits.seconds:g} s: ask for fewer words or variants, or shorter music"
            )
        with self._change:
            job.fields = {name: value for name, value in job.fields.items() if name != "music"}  # it is large
            if job.state == WORKING:
                job.error = error
                self._set(job, FAILED if error else DONE)

    def _forget(self) -> None:
        """Drops what nobody has looked at for a while, and the oldest where there are too many."""
        now = time.monotonic()
        over = [job for job in self._jobs.values() if job.is_over]
        over.sort(key=lambda job: job.looked_at)
        surplus = len(over) - self._limits.answers
        for number, job in enumerate(over):
            if number < surplus or now - job.looked_at > 60 * self._limits.keep_minutes:
                del self._jobs[job.name]
