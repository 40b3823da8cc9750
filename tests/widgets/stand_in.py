"""Stand-ins: a result of any size with pictures, a page on the other end of a comm, an engine."""

import time
from dataclasses import replace
from pathlib import Path
from threading import Condition, Event, get_ident
from types import SimpleNamespace

import comm.base_comm
import numpy as np
from fakes import bare_hit

from matir_nb.errors import ImageError
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.results import SearchResult
from matir_nb.types import Histogram, Provenance

SIZE = (64, 48)
PRE = '<pre style="overflow-x: auto"><code style="white-space: pre">'
"""What words in columns begin with, as HTML."""
PATIENCE_S = 10.0
CONFIG = {
    "k": 12,
    "retrieve": {"region_weight": 0.9, "image_weight": 0.1, "m_regions": 12},
    "judging": {"n_judged": 100, "weight": 1.0, "stage1_weight": 0.25, "max_logit": 12.0},
    "align": {"min_align_iou": 0.3, "prompt_sam": False},
    "log_odds": {"scale": 10.0, "bias": -4.0},
    "n_images": 5000,
    "n_judged_done": 400,
}


def mask(row=0):
    pixels = np.zeros((SIZE[1], SIZE[0]), bool)
    pixels[10 : 30 + row % 10, 5:40] = True
    return pixels


def hit(row, image_id, score):
    region = encode(mask(row))
    return bare_hit(
        rank=row + 1,
        image_id=image_id,
        path=image_id,
        width=SIZE[0],
        height=SIZE[1],
        final_score=score,
        stage1_rank=(row * 7) % 1009 + 1,
        stage1_score=0.3 + score / 40,
        best_region_id=0,
        best_region_score=0.31 + score / 50,
        runner_up_score=0.21 + score / 50,
        whole_image_score=0.2 + score / 60,
        null_percentile=(row * 61 % 257) / 2.57,
        above_cut=score > 0,
        judge_rank=row + 1,
        p_relevant=1 / (1 + float(np.exp(-score))),
        logit=score,
        answer="yes, there",
        judged_box_xyxy=(5.0, 10.0, 40.0, 30.0),
        region_id=0,
        region_score=0.31,
        align_iou=0.8 + (row * 37 % 200) / 1000,
        box_xyxy=(5.0, 10.0, 40.0, 30.0),
        mask=region,
    )


class FakeSource:
    """Grey pictures with one region; `broken` cannot be read, `gate` holds every picture back."""

    n_images = 5000
    fingerprint = "f" * 16

    def __init__(self, broken=(), gate=None):
        self.broken = broken
        self.gate = gate
        self.begun = Event()
        self.threads = set()
        self.n_loaded = 0

    def load_image(self, image_id, *, max_side=None):
        self.n_loaded += 1
        self.threads.add(get_ident())
        self.begun.set()
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_S)
        if image_id in self.broken:
            message = f"{image_id!r} cannot be read"
            raise ImageError(message)
        scale = 1 if max_side is None else min(1, max_side / max(SIZE))
        width, height = (round(side * scale) for side in SIZE)
        return np.full((height, width, 3), 128, np.uint8)

    def regions_of(self, _image_id):
        return regions_from_masks([encode(mask())])

    def region_scores_of(self, _query, _image_id):
        return np.array([0.31], np.float32)


def names(n):
    """Return file names of 24 characters, as cameras and collections give them."""
    rng = np.random.default_rng(5)
    return [f"batch_{i % 7:02}/IMG_{int(rng.integers(1e7)):07}_{i:03}.jpg"[-24:] for i in range(n)]


def make_result(n=6, *, query="a dog without a leash", image_ids=None, source=None):
    image_ids = image_ids or names(n)
    scores = np.sort(np.random.default_rng(1).normal(0, 4, len(image_ids)))[::-1]
    pairs = zip(image_ids, scores, strict=True)
    provenance = Provenance(
        index_fingerprint=FakeSource.fingerprint,
        models={"segmenter": "embedded:sam2", "encoder": "alpha-clip@1", "judge": "structured"},
        config=CONFIG,
        versions={"matir_nb": "1"},
        seconds={"retrieve": 0.0123, "judge": 0.9, "align": 0.01},
        notices=("embedded models",),
    )
    rest = {
        name: Histogram(tuple(i / 24 for i in range(25)), tuple(range(24)))
        for name in ("stage1_score", "final_score")
    }
    hits = tuple(hit(i, name, float(score)) for i, (name, score) in enumerate(pairs))
    return SearchResult(query, hits, provenance, rest=rest, source=source)


class MockComm(comm.base_comm.BaseComm):
    """Keeps what the kernel sends; `wait_for` blocks until something of a kind is there."""

    def __init__(self, *args, **kwargs):
        self.news = Condition()
        self.sent = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type, data=None, buffers=None, **_others):
        with self.news:
            self.sent.append(
                SimpleNamespace(type=msg_type, data=data, buffers=buffers or [], thread=get_ident())
            )
            self.news.notify_all()


class Page:
    """The browser's side of a widget."""

    def __init__(self, widget):
        self.widget = widget
        self._n = 0

    def send(self, content):
        message = {"data": {"method": "custom", "content": content}}
        self.widget._handle_msg({"content": message, "buffers": []})

    def ask(self, kind, **fields):
        self._n += 1
        self.send({"kind": kind, "id": f"r{self._n}", **fields})
        return f"r{self._n}"

    def set(self, **state):
        message = {"data": {"method": "update", "state": state, "buffer_paths": []}}
        self.widget._handle_msg({"content": message, "buffers": []})

    def words(self, kind, request_id=None):
        """Return the custom messages of a kind so far: (content, buffers, thread)."""
        found = []
        for sent in list(self.widget.comm.sent):
            content = (sent.data or {}).get("content")
            if content and content["kind"] == kind and request_id in (None, content["id"]):
                found.append(SimpleNamespace(**vars(sent), content=content))
        return found

    def updates(self):
        """Return what the kernel sent of the traits."""
        sent = list(self.widget.comm.sent)
        return [s.data["state"] for s in sent if (s.data or {}).get("method") == "update"]

    def reply(self, request_id):
        """Wait for the reply to a request."""
        assert self.wait_for_reply(request_id, PATIENCE_S), f"no reply to {request_id}"
        return self.words("reply", request_id)[0]

    def wait_for_reply(self, request_id, seconds):
        return self.wait(lambda: self.words("reply", request_id), seconds)

    def wait(self, is_there, seconds=PATIENCE_S):
        news = self.widget.comm.news
        with news:
            return news.wait_for(is_there, seconds)


class FakeEngine:
    """Judges in steps of 10 of 40, waiting for `gate` before each if there is one."""

    def __init__(self, path="scenes.matir", *, gate=None, error=None, n_hits=5):
        self.index = SimpleNamespace(path=Path(path))
        self.gate = gate
        self.error = error
        self.n_hits = n_hits
        self.asked = []
        self.begun = Event()

    def search(self, query, *, k, judge, n_judged, cancel, progress):
        self.asked.append({"query": query, "k": k, "judge": judge, "n_judged": n_judged})
        if self.error is not None:
            raise self.error
        notices, n = (), min(k, self.n_hits)
        for done in range(0, 50, 10):
            progress(done, 40)
            self.begun.set()
            if self.gate is not None:
                until = time.monotonic() + PATIENCE_S
                while not self.gate.wait(0.01) and not cancel():
                    assert time.monotonic() < until
            if cancel():
                notices = (f"cancelled: {done} of 40 candidates were judged",)
                break
        result = make_result(n, query=query, source=FakeSource())
        return replace(result, provenance=replace(result.provenance, notices=notices))
