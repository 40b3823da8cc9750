"""Who writes to an index: the words within its lock, and whether that process lives.

Whatever a crash or another program left in the file, it is read as somebody's words or as
nobody's, never an error. This module knows no lock.
"""

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from matir_nb.printing import printable, shorten
from matir_nb.version import __version__

MAX_OWNER_BYTES = 4096
"""Of a longer file no more is read."""
PROC = Path("/proc")


def _machine() -> str:
    """Return what only processes that can see each other share: this start of this system."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink(PROC / 'self/ns/pid')}"  # noqa: PTH115 - not a path
    except OSError:
        return socket.gethostname()


def pid_started(pid: int) -> str:
    """Return when the system started a process, in its own count; empty = it does not say."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that writes to an index.

    Attributes:
        pid: its number.
        host: its computer, for people.
        machine: its computer, this start of it and its container, for comparison.
        pid_started: tells it from a later process of the same number; empty = not known.
        started: when it began to write, ISO 8601, UTC.
        program: what it is.
        token: tells two writers of one process apart.
    """

    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=_machine)
    pid_started: str = field(default_factory=lambda: pid_started(os.getpid()))
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    program: str = f"matir_nb {__version__}"
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def to_json(self) -> bytes:
        """Return the content of the lock."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @property
    def seconds(self) -> float | None:
        """How long it has been writing, by this computer's clock; None = its words are odd."""
        try:
            started = datetime.fromisoformat(self.started)
            return max((datetime.now(UTC) - started).total_seconds(), 0.0)
        except (ValueError, TypeError, OverflowError):
            return None

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended for certain; False when that cannot be known from here."""
        # os.kill(pid, 0) asks on POSIX and kills on Windows
        if os.name != "posix" or self.machine != _machine() or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        now = pid_started(self.pid)
        return bool(now and self.pid_started and now != self.pid_started)

    def __str__(self) -> str:
        """Return who it is and for how long, for a message."""
        age = "" if self.seconds is None else f" for {duration(self.seconds)}"
        host = printable(shorten(self.host, 60))
        return f"process {self.pid} on {host!r} has been writing{age}"


def owner_from(content: bytes) -> Owner | None:
    """Return the owner that the content of a lock names; None = it names nobody.

    >>> owner_from(b"{torn") is None
    True
    """
    try:
        document = json.loads(content[:MAX_OWNER_BYTES])
        owner = Owner(**document)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (owner.host, owner.machine, owner.pid_started, owner.started, owner.program)
    are_texts = all(isinstance(text, str) for text in (*texts, owner.token))
    complete = len(document) == len(asdict(owner))
    return owner if complete and are_texts and type(owner.pid) is int else None


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(1), duration(90), duration(720), duration(90_000)
    ('1 second', '90 seconds', '12 minutes', '25 hours')
    """
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}s"
    return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
