"""Chromium, pages that notice what must not happen, and real results behind the widgets."""

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import exp
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

import pytest
from bridge import Bridge
from fakes import (
    WORDS,
    OracleEncoder,
    OracleJudge,
    OracleMaskSource,
    known_words,
    scene_gallery,
)
from ipywidgets.widgets.widget import _instances
from lab import BROWSER_ARGS, chromium_path
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from matir_nb.index.build import build
from matir_nb.opening import open_engine
from matir_nb.types import Judgement

REPOSITORY = Path(__file__).parents[2]
OUTPUT = REPOSITORY / "tests" / "output"
STATIC = REPOSITORY / "matir_nb" / "static"
AXE = REPOSITORY / "js" / "node_modules" / "axe-core" / "axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
N_SCENES = 60
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 420, "height": 800}

HAS_FAILED = pytest.StashKey[bool]()

expect.set_options(timeout=10_000)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.stash[HAS_FAILED] = report.failed
    return report


def missing(what):
    """Skip, or fail where `make test` has promised that everything is there."""
    if os.environ.get("MATIR_REQUIRE_BROWSER") == "1":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def static():
    """The folder of built JavaScript."""
    if not (STATIC / "build.json").is_file():
        missing("the widgets' JavaScript is not built: run make static")
    return STATIC


@pytest.fixture(scope="package")
def chromium():
    """One browser for all tests of this folder (its event loop ends with them)."""
    path = chromium_path()
    if path is None:
        missing("no Chromium: tests/browser/chromium.sh says how to install it")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=list(BROWSER_ARGS),
        )
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page did that it must not do."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def follow(self, page):
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", self._request)
        page.on("dialog", self._dialog)

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.messages.append(f"{message.type}: {message.text}")

    def _request(self, request):
        parts = urlsplit(request.url)
        is_local = parts.scheme in ("data", "blob", "file") or parts.hostname == "127.0.0.1"
        if not is_local:
            self.requests.append(request.url)

    def _dialog(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@contextmanager
def watched_page(chromium, request, **options):
    """Open a page; at the end nothing must have gone wrong on it."""
    context = chromium.new_context(viewport=WIDE, accept_downloads=True, **options)
    page = context.new_page()
    watch = Watch()
    watch.follow(page)
    yield page
    is_pwned = page.evaluate("globalThis.pwned")
    if request.node.stash.get(HAS_FAILED, True) or is_pwned or watch != Watch():
        page.screenshot(path=OUTPUT / f"failed-{request.node.name}.png")
    context.close()
    assert is_pwned is None, "a script out of data was run"
    assert watch.messages == [], "the page's console"
    assert watch.requests == [], "requests to elsewhere"
    assert watch.dialogs == []


@pytest.fixture(scope="package")
def running_bridge():
    bridge = Bridge()
    yield bridge
    bridge.close()


@pytest.fixture
def bridge(running_bridge, static):
    """Widgets made in the test talk to the page; what went wrong in Python fails the test."""
    running_bridge.forget()
    with running_bridge.installed():
        yield running_bridge
        for model_id in list(running_bridge.comms):
            _instances[model_id].close()
    assert running_bridge.errors == []


@pytest.fixture
def page(chromium, bridge, request):
    """The host page, ready to mount widgets."""
    with watched_page(chromium, request) as page:
        page.goto(bridge.url)
        page.wait_for_function("globalThis.host !== undefined")
        yield page


@pytest.fixture
def show(page):
    """Return a function that mounts a widget and returns its root element."""

    def mount(widget):
        page.evaluate("id => host.mount(id).then(() => null)", widget.model_id)
        root = page.locator(f'[data-model="{widget.model_id}"] > .matir')
        expect(root).to_be_visible()
        return root

    return mount


@pytest.fixture
def eventually(page):
    """Return a function that waits until Python sees what it should."""

    def wait(condition, *, timeout=10):
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "Python never saw it"
            page.wait_for_timeout(20)

    return wait


def set_theme(page, theme):
    """Make the page look as JupyterLab's light or dark theme."""
    page.emulate_media(color_scheme=theme)
    page.evaluate(
        """theme => {
            document.body.dataset.jpThemeLight = String(theme === "light");
            document.body.style.background = theme === "light" ? "#fff" : "#111";
        }""",
        theme,
    )


@pytest.fixture
def picture(page):
    """Return a function that keeps what the page looks like now, light, dark and narrow."""

    def shoot(name):
        for theme in ("light", "dark"):
            set_theme(page, theme)
            page.screenshot(path=OUTPUT / f"{name}-{theme}.png", animations="disabled")
        set_theme(page, "light")
        page.set_viewport_size(NARROW)
        page.screenshot(path=OUTPUT / f"{name}-narrow.png", animations="disabled")
        page.set_viewport_size(WIDE)

    return shoot


def axe_violations(page):
    """Return what axe-core finds against WCAG 2.2 A and AA, one line per rule."""
    if not AXE.is_file():
        missing(f"axe-core is not installed at {AXE}: run make static")
    if page.evaluate("globalThis.axe === undefined"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        """levels => axe.run(document.querySelector("main") ?? document.body,
            {runOnly: {type: "tag", values: levels}})""",
        LEVELS,
    )
    return [
        f"{rule['id']} ({rule['help']}) at {len(rule['nodes'])} places, "
        f"e.g. {rule['nodes'][0]['html'][:160]}: {rule['nodes'][0]['failureSummary'][:300]}"
        for rule in found["violations"]
    ]


@pytest.fixture(scope="session")
def gallery(tmp_path_factory):
    """An index of generated scenes; its models know the scenes by heart."""
    folder = tmp_path_factory.mktemp("gallery")
    scenes = scene_gallery(folder / "scenes", N_SCENES)
    build(
        folder / "scenes",
        folder / "scenes.matir",
        masks=OracleMaskSource(scenes),
        encoder=OracleEncoder(scenes),
    )
    return scenes, folder / "scenes.matir"


@pytest.fixture
def engine(gallery):
    scenes, path = gallery
    judge = MovingJudge(model_id="moving-judge")
    return open_engine(path, encoder=OracleEncoder(scenes), judge=judge)


@pytest.fixture
def result(engine):
    return engine.search("red circle", k=N_SCENES)


class MovingJudge(OracleJudge):
    """Says yes to any shared attribute, sure of it or not, and points a little beside the region.

    So hits change places between the stages, and box and region agree only in part.
    """

    def _one(self, query, item):
        wanted = [WORDS.index(word) for word in known_words(query)]
        n_shared = (item.region_vectors[:, wanted] > 0.1).sum(axis=1)
        if not n_shared.any():
            return super()._one(query, item)
        row = int(n_shared.argmax())
        x0, y0, x1, y1 = (float(v) for v in item.regions.boxes_xyxy[row])
        box = (x0, y0, x1 - 0.2 * (x1 - x0), y1)
        image_id = item.candidate.image_id
        logit = crc32(image_id.encode()) % 61 / 10 - 3
        p_relevant = 1 / (1 + exp(-logit))
        return Judgement(image_id, p_relevant, logit, box, None, f"yes, at {box}")


HOSTILE = '<img src=x onerror="globalThis.pwned=1">'
SCRIPT = "</script><script>globalThis.pwned=1</script>"
RIGHT_TO_LEFT = "\u202egpj.exe"  # shows as if it ended in "exe.jpg"


class HostileJudge(OracleJudge):
    """Answers with markup."""

    def judge(self, query, inputs):
        answers = super().judge(query, inputs)
        return [_with_answer(answer, f"{HOSTILE}{SCRIPT} {answer.answer}") for answer in answers]


def _with_answer(judgement, answer):
    return replace(judgement, answer=answer)


@pytest.fixture(scope="session")
def hostile_names():
    """Names of image files that would be markup if they were ever taken for it."""
    return [f"{HOSTILE}.png", f"{SCRIPT}.png", f"{RIGHT_TO_LEFT}.png", "a & b <b>c.png"]


@pytest.fixture(scope="session")
def hostile_engine(tmp_path_factory, hostile_names):
    folder = tmp_path_factory.mktemp("hostile")
    scenes = scene_gallery(folder / "scenes", 8)
    for scene, name in zip(scenes, hostile_names, strict=False):
        target = folder / "scenes" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.image).save(target)
    build(
        folder / "scenes",
        folder / "scenes.matir",
        masks=OracleMaskSource(scenes),
        encoder=OracleEncoder(scenes),
    )
    judge = HostileJudge(model_id="hostile-judge")
    return open_engine(folder / "scenes.matir", encoder=OracleEncoder(scenes), judge=judge)
