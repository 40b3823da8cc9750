"""A kernel's end of the widget protocol without a kernel: real widgets, a loopback web socket.

Widgets made while a `Bridge` is `installed` open their comm here. A page (host.js) mounts them
by model id and speaks the messages that ipywidgets speaks; they are handled one after the other
in the bridge's own thread, as a kernel does.
"""

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import comm
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

HERE = Path(__file__).parent


class BridgeComm:
    """What ipywidgets wants of a comm."""

    def __init__(self, bridge, data=None, buffers=None, **_):
        self.comm_id = uuid.uuid4().hex
        self.opened_with = (data or {}, list(buffers or []))
        self._bridge = bridge
        self._on_msg = None
        bridge.comms[self.comm_id] = self

    def on_msg(self, callback):
        self._on_msg = callback

    def on_close(self, callback):
        """A page that goes away is no closed widget."""

    def send(self, data=None, metadata=None, buffers=None):  # noqa: ARG002 - what is called
        self._bridge.push(self.comm_id, data, buffers or [])

    def close(self, *_, **__):
        self._bridge.comms.pop(self.comm_id, None)
        self._bridge.gone.add(self.comm_id)

    def handle(self, data):
        self._on_msg({"content": {"comm_id": self.comm_id, "data": data}, "buffers": []})


class Bridge:
    """Serves host.html and its web socket on loopback."""

    def __init__(self):
        self.comms = {}
        self.gone = set()
        self.errors = []
        self.received = []
        self.bytes_sent = 0
        self.is_silent = False
        """True = a dead kernel: nothing that the page sends is heard."""
        self._sockets = set()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="bridge")
        self._thread.start()
        assert started.wait(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    @contextmanager
    def installed(self) -> Iterator["Bridge"]:
        """Let every widget that is made meanwhile talk through this bridge."""
        with patch.object(comm, "create_comm", lambda **kwargs: BridgeComm(self, **kwargs)):
            yield self

    def push(self, model_id, data, buffers):
        """Send one message to every page; from any thread."""
        self._loop.call_soon_threadsafe(self._write, model_id, data, [bytes(b) for b in buffers])

    def forget(self):
        """Start over for the next test."""
        self.gone.update(self.comms)
        self.comms.clear()
        self.errors.clear()
        self.received.clear()
        self.is_silent = False

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self, started):
        asyncio.set_event_loop(self._loop)
        routes = [(r"/", _Page), (r"/host.js", _Script), (r"/socket", _Socket, {"bridge": self})]
        server = HTTPServer(Application(routes))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        self.port = sockets[0].getsockname()[1]
        self._loop.call_soon(started.set)
        self._loop.run_forever()
        server.stop()
        self._loop.run_until_complete(server.close_all_connections())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _write(self, model_id, data, buffers):
        for socket in list(self._sockets):
            self._write_to(socket, model_id, data, buffers)

    def _write_to(self, socket, model_id, data, buffers):
        head = json.dumps({"model": model_id, "data": data, "n_buffers": len(buffers)})
        self.bytes_sent += len(head) + sum(map(len, buffers))
        try:
            socket.write_message(head)
            for buffer in buffers:
                socket.write_message(buffer, binary=True)
        except WebSocketClosedError:
            self._sockets.discard(socket)

    def _hear(self, socket, message):
        model_id, data = message["model"], message["data"]
        if self.is_silent:
            return
        handler = self.comms.get(model_id)
        if model_id in self.gone:
            return  # a page's last words: a kernel hears them too late, and drops them
        if handler is None:
            self.errors.append(f"no widget {model_id}")
        elif data["method"] == "open":
            opened, buffers = handler.opened_with
            self._write_to(socket, model_id, {"method": "open", **opened}, buffers)
            handler.handle({"method": "request_state"})
        else:
            self.received.append(data)
            handler.handle(data)


class _Page(RequestHandler):
    def get(self):
        self.write((HERE / "host.html").read_text(encoding="utf-8"))


class _Script(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "text/javascript")
        self.write((HERE / "host.js").read_text(encoding="utf-8"))


class _Socket(WebSocketHandler):
    def initialize(self, bridge):
        self._bridge = bridge

    def open(self):
        self._bridge._sockets.add(self)

    def on_message(self, message):
        try:
            self._bridge._hear(self, json.loads(message))
        except Exception as error:  # noqa: BLE001 - the test says it, at its end
            self._bridge.errors.append(repr(error))

    def on_close(self):
        self._bridge._sockets.discard(self)
