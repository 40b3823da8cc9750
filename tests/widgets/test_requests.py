import logging
import threading
import time
from threading import Event

import pytest

from matir_nb.errors import ConfigError, ImageError
from matir_nb.widgets import requests
from matir_nb.widgets.jobs import TEXT, WHOLE, WHOLES, Route
from matir_nb.widgets.requests import ABORTED, Requests

PATIENCE_S = 10.0


class Wire:
    """Collects what is sent; `wait` blocks until so many messages of a kind are there."""

    def __init__(self):
        self.messages = []
        self.threads = []
        self._news = threading.Condition()

    def send(self, message, buffers):
        with self._news:
            self.messages.append((message, buffers))
            self.threads.append(threading.get_ident())
            self._news.notify_all()

    def of(self, kind):
        return [message for message, _ in self.messages if message["kind"] == kind]

    def replies(self, n):
        with self._news:
            assert self._news.wait_for(lambda: len(self.of("reply")) >= n, PATIENCE_S)
        return self.of("reply")


class Kitchen:
    """Answers: echo at once; slow when `gate` opens; broken never."""

    def __init__(self):
        self.gate = Event()
        self.begun = []
        self.progress = ()

    def echo(self, request, job):
        self.begun.append(job.id)
        return {"side": request["side"]}, [b"pixels"]

    def slow(self, _request, job):
        self.begun.append(job.id)
        for word in self.progress:
            job.report(*word)
        assert self.gate.wait(PATIENCE_S)
        return {"cancelled": job.is_cancelled()}, []

    def broken(self, request, _job):
        if request["how"] == "matir":
            raise ImageError("a.jpg cannot be read")
        return 1 / 0


@pytest.fixture
def kitchen():
    return Kitchen()


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def asked(kitchen, wire):
    routes = {
        "echo": Route({"side": WHOLE}, kitchen.echo),
        "slow": Route({}, kitchen.slow),
        "newest": Route({}, kitchen.slow, lane="other", is_newest_only=True),
        "teller": Route({}, kitchen.slow, answers_when_cancelled=True),
        "broken": Route({"how": TEXT}, kitchen.broken),
        "many": Route({"rows": WHOLES}, kitchen.echo),
    }
    taker = Requests(routes, wire.send)
    yield taker
    kitchen.gate.set()
    taker.close()


def begin(asked, kitchen, kind, job_id):
    asked.receive({"kind": kind, "id": job_id})
    until = time.monotonic() + PATIENCE_S
    while job_id not in kitchen.begun:
        assert time.monotonic() < until
        time.sleep(0.002)


def test_a_request_is_answered_with_buffers_from_another_thread(asked, wire):
    asked.receive({"kind": "echo", "id": "a", "side": 3})
    wire.replies(1)
    assert wire.messages == [
        ({"kind": "reply", "id": "a", "ok": True, "body": {"side": 3}}, [b"pixels"])
    ]
    assert wire.threads[0] != threading.get_ident()


def test_no_thread_before_the_first_request_and_none_after_close(kitchen, wire):
    taker = Requests({"echo": Route({"side": WHOLE}, kitchen.echo, lane="mine")}, wire.send)
    assert "matir-mine" not in [t.name for t in threading.enumerate()]
    taker.receive({"kind": "echo", "id": "a", "side": 3})
    wire.replies(1)
    (worker,) = [t for t in threading.enumerate() if t.name == "matir-mine"]
    assert worker.daemon
    taker.close()
    worker.join(PATIENCE_S)
    assert not worker.is_alive()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("hello", "a request is an object with kind and id, got str"),
        (None, "got NoneType"),
        ({"kind": "echo", "side": 3}, "id = None is not allowed"),
        ({"kind": "echo", "id": "", "side": 3}, "id = '' is not allowed"),
        ({"kind": "echo", "id": "x" * 101, "side": 3}, "1 to 100 characters"),
        ({"kind": "echo", "id": 7, "side": 3}, "id = 7 is not allowed"),
        ({"kind": "ecko", "id": "a"}, "unknown kind of request 'ecko': did you mean 'echo'?"),
        ({"kind": ["echo"], "id": "a"}, "unknown kind of request ['echo']: choose from echo, "),
        ({"id": "a"}, "unknown kind of request None"),
        ({"kind": "echo", "id": "a"}, "a request of kind 'echo' needs 'side': a whole number"),
        ({"kind": "echo", "id": "a", "side": "3"}, "echo: side = '3' is not allowed: give a whole"),
        ({"kind": "echo", "id": "a", "side": True}, "side = True is not allowed"),
        ({"kind": "echo", "id": "a", "side": 1.5}, "side = 1.5 is not allowed"),
        ({"kind": "many", "id": "a", "rows": [1, None]}, "give a list of whole numbers"),
    ],
)
def test_a_wrong_message_gets_a_reply_that_says_what_is_wrong(asked, wire, kitchen, message, text):
    asked.receive(message)
    (reply,) = wire.replies(1)
    assert reply["ok"] is False
    assert text in reply["error"]
    named = message.get("id") if isinstance(message, dict) else None
    assert reply["id"] == (named if isinstance(named, str) else "")
    assert kitchen.begun == []


def test_a_matir_error_is_its_own_message(asked, wire):
    asked.receive({"kind": "broken", "id": "a", "how": "matir"})
    assert wire.replies(1) == [
        {"kind": "reply", "id": "a", "ok": False, "error": "a.jpg cannot be read"}
    ]
    assert asked.last_error is None


def test_any_other_error_is_kept_with_its_traceback_and_logged(asked, wire, caplog):
    with caplog.at_level(logging.ERROR, "matir_nb"):
        asked.receive({"kind": "broken", "id": "a", "how": "other"})
        (reply,) = wire.replies(1)
    assert reply["error"] == "internal error: ZeroDivisionError: division by zero"
    assert "return 1 / 0" in asked.last_error
    assert "a request of kind broken failed" in caplog.text
    asked.receive({"kind": "echo", "id": "b", "side": 1})
    assert wire.replies(2)[1]["ok"], "the thread lives on"


def test_a_request_that_has_not_begun_is_dropped_without_a_reply(asked, kitchen, wire):
    begin(asked, kitchen, "slow", "first")
    asked.receive({"kind": "echo", "id": "dropped", "side": 1})
    asked.receive({"kind": "echo", "id": "last", "side": 2})
    asked.receive({"kind": "cancel", "id": "dropped"})
    kitchen.gate.set()
    assert [reply["id"] for reply in wire.replies(2)] == ["first", "last"]
    assert kitchen.begun == ["first", "last"]


def test_a_cancelled_request_that_has_begun_gets_one_reply(asked, kitchen, wire):
    begin(asked, kitchen, "slow", "a")
    asked.receive({"kind": "cancel", "id": "a"})
    kitchen.gate.set()
    asked.receive({"kind": "echo", "id": "b", "side": 1})
    first, _ = wire.replies(2)
    assert first == {"kind": "reply", "id": "a", "ok": False, "error": ABORTED}


def test_an_answer_can_tell_of_the_cancelling_itself(asked, kitchen, wire):
    begin(asked, kitchen, "teller", "a")
    asked.receive({"kind": "cancel", "id": "a"})
    kitchen.gate.set()
    assert wire.replies(1)[0]["body"] == {"cancelled": True}


def test_cancelling_what_is_not_under_way_changes_nothing(asked, wire):
    for job_id in ("gone", None, ["a"]):
        asked.receive({"kind": "cancel", "id": job_id})
    asked.receive({"kind": "echo", "id": "a", "side": 1})
    assert len(wire.replies(1)) == 1


def test_an_id_is_used_once_at_a_time(asked, kitchen, wire):
    begin(asked, kitchen, "slow", "a")
    asked.receive({"kind": "slow", "id": "a"})
    assert "the id 'a' is in use" in wire.replies(1)[0]["error"]
    kitchen.gate.set()
    wire.replies(2)
    asked.receive({"kind": "echo", "id": "a", "side": 1})
    assert wire.replies(3)[2]["ok"]


def test_a_newer_request_takes_the_place_of_those_under_way(asked, kitchen, wire):
    begin(asked, kitchen, "newest", "running")
    asked.receive({"kind": "newest", "id": "waiting"})
    asked.receive({"kind": "newest", "id": "last"})
    kitchen.gate.set()
    replies = {reply["id"]: reply for reply in wire.replies(3)}
    assert replies["running"]["ok"] is False
    assert replies["waiting"]["error"] == "a newer newest took its place"
    assert replies["last"]["body"] == {"cancelled": False}


def test_lanes_do_not_wait_for_each_other(asked, kitchen, wire):
    begin(asked, kitchen, "newest", "long")
    asked.receive({"kind": "echo", "id": "quick", "side": 1})
    assert wire.replies(1)[0]["id"] == "quick"


def test_progress_is_told_and_a_quick_succession_is_thinned_out(asked, kitchen, wire):
    kitchen.progress = [("judge", done, 1000) for done in range(1001)]
    begin(asked, kitchen, "slow", "a")
    told = wire.of("progress")
    assert told[0] == {"kind": "progress", "id": "a", "stage": "judge", "done": 0, "total": 1000}
    assert told[-1]["done"] == 1000
    assert len(told) < 200


def test_requests_under_way_and_waiting_give_signs_of_life(asked, kitchen, wire, monkeypatch):
    monkeypatch.setattr(requests, "PULSE_S", 0.04)
    begin(asked, kitchen, "slow", "a")
    asked.receive({"kind": "echo", "id": "b", "side": 1})
    until = time.monotonic() + PATIENCE_S
    while {word["id"] for word in wire.of("progress")} != {"a", "b"}:
        assert time.monotonic() < until
        time.sleep(0.005)
    kitchen.gate.set()
    wire.replies(2)
    n = len(wire.of("progress"))
    time.sleep(0.1)
    assert len(wire.of("progress")) <= n + 1, "no word about requests that are answered"


def test_slow_requests_are_logged(asked, kitchen, wire, caplog, monkeypatch):
    monkeypatch.setattr(requests, "SLOW_S", 0.0)
    with caplog.at_level(logging.INFO, "matir_nb"):
        asked.receive({"kind": "echo", "id": "a", "side": 1})
        asked.receive({"kind": "echo", "id": "b", "side": 1})
        wire.replies(2)
    assert "a request of kind echo took" in caplog.text


def test_a_broken_connection_is_kept_and_does_not_end_the_thread(kitchen, caplog):
    sent = Wire()

    def send(message, buffers):
        if message["id"] == "a":
            raise OSError("socket closed")
        sent.send(message, buffers)

    taker = Requests({"echo": Route({"side": WHOLE}, kitchen.echo)}, send)
    taker.receive({"kind": "echo", "id": "a", "side": 1})
    taker.receive({"kind": "echo", "id": "b", "side": 1})
    assert sent.replies(1)[0]["id"] == "b"
    assert "socket closed" in taker.last_error
    taker.close()


def test_nothing_is_taken_in_or_sent_after_close(asked, kitchen, wire):
    begin(asked, kitchen, "slow", "a")
    asked.receive({"kind": "echo", "id": "b", "side": 1})
    asked.close()
    asked.receive({"kind": "echo", "id": "c", "side": 1})
    kitchen.gate.set()
    time.sleep(0.05)
    assert wire.messages == []
    assert kitchen.begun == ["a"]


def test_python_asks_on_its_own_thread_without_a_message(asked, wire):
    assert asked.call("echo", side=5) == {"side": 5}
    assert wire.messages == []
    with pytest.raises(ConfigError, match="needs 'side'"):
        asked.call("echo")


def test_python_waits_for_its_turn_and_takes_the_place_of_an_older_request(asked, kitchen, wire):
    begin(asked, kitchen, "newest", "older")
    opener = threading.Timer(0.05, kitchen.gate.set)
    opener.start()
    assert asked.call("newest") == {"cancelled": False}
    assert wire.replies(1)[0]["error"] == ABORTED
    opener.join()
