"""What a view asks of the kernel: checked, answered on a worker thread, cancelled by id.

The kernel's own thread only takes messages in, so a `cancel` or a newer request gets through
while an older one is being answered. This module knows no widget and no picture: routes say how
each kind is answered.

Every request that began gets exactly one reply. A request that is cancelled before it began is
dropped without one: who cancelled it does not wait. While requests are under way, each gets a
word every `PULSE_S` seconds, so that a slow kernel is not taken for a lost one.
"""

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Lock, RLock, Thread
from time import monotonic
from typing import Any

from matir_nb.errors import ConfigError, MatirError, nearest
from matir_nb.widgets.jobs import JSON, Field, Job, Route, Send

LOG = logging.getLogger(__name__)
LOG.addHandler(logging.NullHandler())

SLOW_S = 2.0
PULSE_S = 3.0
MAX_ID = 100
ABORTED = "aborted: the request was cancelled"


class _Lane:
    """A thread that does jobs one after another, and the lock that others take to do theirs."""

    def __init__(self, name: str, work: Callable[[Job], None]) -> None:
        self.lock = RLock()  # an observer of an answer may ask again
        self._work = work
        self._name = name
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: Thread | None = None

    def put(self, job: Job) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name=f"matir-{self._name}", daemon=True)
            self._thread.start()
        self._queue.put(job)

    def close(self) -> None:
        self._queue.put(None)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            with self.lock:
                self._work(job)


class Requests:
    """Takes a view's messages in and sends one reply to each request that began."""

    def __init__(self, routes: Mapping[str, Route], send: Send) -> None:
        """Answer requests by kind.

        Args:
            routes: how each kind is answered.
            send: brings a message and its buffers to the page; called from several threads.
        """
        self._routes = dict(routes)
        self._send = send
        self._lanes = {r.lane: _Lane(r.lane, self._work) for r in self._routes.values()}
        self._jobs: dict[str, Job] = {}
        self._lock = Lock()
        self._n_called = 0
        self._is_closed = False
        self.last_error: str | None = None
        """Traceback of the last error that was not foreseen; None = there was none."""

    def receive(self, message: object) -> None:
        """Take a message of the page in; never raises, a wrong one gets a reply that says why."""
        try:
            if isinstance(message, dict) and message.get("kind") == "cancel":
                self._cancel(message.get("id"))
            elif not self._is_closed:
                job = self._accept(message)
                self._lanes[self._routes[job.kind].lane].put(job)
        except MatirError as error:
            named = message.get("id") if isinstance(message, dict) else None
            self._refuse(named if isinstance(named, str) else "", str(error))

    def call(self, kind: str, **fields: Any) -> JSON:
        """Answer a request of Python's own, on the calling thread, in its turn.

        Returns:
            The body of the answer.

        Raises:
            MatirError: the request cannot be answered, or a newer one took its place.
        """
        self._n_called += 1
        message = {"kind": kind, "id": f"python-{self._n_called}", **fields}
        job = self._accept(message, send=_to_nobody)
        try:
            with self._lanes[self._routes[kind].lane].lock:
                job.stop_if_superseded()
                body, _ = self._routes[kind].answer(job.request, job)
        finally:
            self._forget(job)
        return body

    def close(self) -> None:
        """Cancel everything and end the threads."""
        self._is_closed = True
        for job in self._under_way():
            job.cancel()
        for lane in self._lanes.values():
            lane.close()

    def _accept(self, message: object, send: Send | None = None) -> Job:
        """Return a job for a message that is right in every field.

        Raises:
            ConfigError: the message is wrong; the text says in what.
        """
        request = _with_id(message)
        kind = request.get("kind")
        if not isinstance(kind, str) or kind not in self._routes:
            message = f"unknown kind of request {kind!r:.60}: {nearest(kind, self._routes)}"
            raise ConfigError(message)
        _check_fields(request, kind, self._routes[kind].fields)
        job = Job(kind, request, send or self._send_safely)
        with self._lock:
            if job.id in self._jobs:
                message = f"the id {job.id!r} is in use: give every request its own"
                raise ConfigError(message)
            route = self._routes[kind]
            ended = (*route.ends, kind) if route.is_newest_only else route.ends
            for other in self._jobs.values():
                if other.kind in ended:
                    other.cancel(superseded_by=f"a newer {kind} took its place")
            self._jobs[job.id] = job
        return job

    def _cancel(self, job_id: object) -> None:
        """Cancel a request; one that is not under way any more is none of our business."""
        for job in self._under_way():
            if job.id == job_id:
                job.cancel()

    def _under_way(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)

    def _work(self, job: Job) -> None:
        """Answer a job on its lane's thread, or drop it."""
        if not job.is_cancelled():
            job.context.run(self._answer, job)
        elif job.superseded_by is not None:
            job.context.run(self._refuse, job.id, job.superseded_by)
        self._forget(job)

    def _answer(self, job: Job) -> None:
        route = self._routes[job.kind]
        started = monotonic()
        try:
            with self._pulse(route.lane):
                body, buffers = route.answer(job.request, job)
        except MatirError as error:
            self._refuse(job.id, str(error))
        except Exception as error:
            self.last_error = traceback.format_exc()
            LOG.exception("a request of kind %s failed", job.kind)
            self._refuse(job.id, f"internal error: {type(error).__name__}: {error}")
        else:
            if job.is_cancelled() and not route.answers_when_cancelled:
                self._refuse(job.id, ABORTED)
            else:
                self._reply(job.id, body, buffers)
        seconds = monotonic() - started
        if seconds > SLOW_S:
            LOG.info("a request of kind %s took %.1f s", job.kind, seconds)

    @contextmanager
    def _pulse(self, lane: str) -> Iterator[None]:
        """Give a sign of life for every request of `lane` while the block runs."""
        is_done = Event()

        def beat() -> None:
            while not is_done.wait(PULSE_S / 2):
                for job in self._under_way():
                    if self._routes[job.kind].lane == lane and job.seconds_silent() >= PULSE_S / 2:
                        job.context.copy().run(job.repeat)

        Thread(target=beat, name="matir-pulse", daemon=True).start()
        try:
            yield
        finally:
            is_done.set()

    def _reply(self, job_id: str, body: JSON, buffers: list[bytes]) -> None:
        self._send_safely({"kind": "reply", "id": job_id, "ok": True, "body": body}, buffers)

    def _refuse(self, job_id: str, error: str) -> None:
        self._send_safely({"kind": "reply", "id": job_id, "ok": False, "error": error}, [])

    def _send_safely(self, message: JSON, buffers: list[bytes]) -> None:
        """Send, unless the view is closed; a broken connection is logged, nobody can be told."""
        if self._is_closed:
            return
        try:
            self._send(message, buffers)
        except Exception:
            self.last_error = traceback.format_exc()
            LOG.exception("a message of kind %s could not be sent", message["kind"])


def _to_nobody(_message: JSON, _buffers: Sequence[bytes]) -> None:
    """Send nothing: Python waits for its own answer."""


def _with_id(message: object) -> JSON:
    """Return `message` after checking that it is an object with an id that replies can carry."""
    if not isinstance(message, dict):
        text = f"a request is an object with kind and id, got {type(message).__name__}"
        raise ConfigError(text)
    job_id = message.get("id")
    if not isinstance(job_id, str) or not 0 < len(job_id) <= MAX_ID:
        text = f"id = {job_id!r:.40} is not allowed: give text of 1 to {MAX_ID} characters"
        raise ConfigError(text)
    return message


def _check_fields(request: JSON, kind: str, fields: Mapping[str, Field]) -> None:
    for name, field in fields.items():
        if name not in request:
            message = f"a request of kind {kind!r} needs {name!r}: {field.allowed}"
            raise ConfigError(message)
        if not field.accepts(request[name]):
            message = f"{kind}: {name} = {request[name]!r:.60} is not allowed: give {field.allowed}"
            raise ConfigError(message)
