"""The site: built strictly and silently, complete, and asking nobody else for anything."""

import functools
import http.server
import inspect
import os
import re
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab import BROWSER_ARGS, chromium_path
from page_commands import ROOT
from playwright.sync_api import sync_playwright

import matir_nb

ASSET = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=[\"']?([^\"'\s>]+)"
    r"|<link\b[^>]*?\bhref=[\"']?([^\"'\s>]+)"
    r"|url\([\"']?([^\"')]+)|@import\s+[\"']([^\"']+)"
)
CODE = re.compile(r"<(code|pre|script|nav)\b.*?</\1>", re.DOTALL)
OUTSIDE = re.compile(r"(?:[a-z]+:)?//")
SECONDS = 180
"""At most, on a busy machine; on a free core it takes about ten."""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="session")
def documented(site):
    """Names that the inventory of the site holds."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split()[0] for line in zlib.decompress(content).decode().splitlines() if line}


@pytest.mark.parametrize("name", matir_nb.__all__)
def test_every_public_name_has_an_entry(name, documented):
    assert f"matir_nb.{name}" in documented


def test_every_public_method_has_an_entry(documented):
    classes = [getattr(matir_nb, name) for name in matir_nb.__all__]
    lacking = [
        f"matir_nb.{kind.__name__}.{name}"
        for kind in classes
        if inspect.isclass(kind)
        for name, member in vars(kind).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property | classmethod))
        and f"matir_nb.{kind.__name__}.{name}" not in documented
    ]
    assert lacking == []


def test_nothing_of_a_docstrings_markup_is_left(site):
    for page in sorted((site / "api").glob("*.html")):
        text = page.read_text(encoding="utf-8")
        words = re.sub(r"<[^>]+>", "", CODE.sub("", text))
        assert re.findall(r".{30}(?:``|::\n|\]\[matir_nb).{0,30}", words) == [], page.name


def outside_assets(text):
    found = [next(filter(None, groups)) for groups in ASSET.findall(text)]
    return [address for address in found if OUTSIDE.match(address)]


def test_no_page_and_no_style_loads_anything_from_elsewhere(site):
    for kind in ("html", "css", "svg"):
        for path in site.rglob(f"*.{kind}"):
            assert outside_assets(path.read_text(encoding="utf-8")) == [], path.name


def test_an_outside_asset_is_found():
    text = '<script src="https://cdn.org/x.js"></script><a href="https://x.org">x</a>'
    text += "<link rel=stylesheet href=//fonts.org/a.css> <style>a{b:url(http://c.org/d)}</style>"
    wanted = ["https://cdn.org/x.js", "//fonts.org/a.css", "http://c.org/d"]
    assert outside_assets(text) == wanted


def test_tutorials_are_pages_with_their_pictures(site):
    for notebook in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        text = (site / "tutorials" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert f"../files/notebooks/{notebook.name}" in text
        pictures = re.findall(rf'src="({notebook.stem}_files/[^"]+)"', text)
        assert pictures
        assert all((site / "tutorials" / name).stat().st_size for name in pictures)
        assert "application/vnd.jupyter" not in text


def test_the_site_holds_no_path_of_this_machine(site):
    for path in site.rglob("*.html"):
        assert str(ROOT) not in path.read_text(encoding="utf-8"), path.name


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def address(site):
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def looked_at(look):
    """Return what `look` returns of a browser, in a thread of its own.

    The browser of tests/browser may hold the event loop of this one until the session ends.
    """
    path = chromium_path()
    if path is None:
        message = "no Chromium: tests/browser/chromium.sh says how to install it"
        (pytest.fail if os.environ.get("MATIR_REQUIRE_BROWSER") == "1" else pytest.skip)(message)

    def run():
        with (
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=path, args=[*BROWSER_ARGS]) as browser,
        ):
            return look(browser)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_two_pages_ask_nobody_else(address, scheme):
    asked, errors = [], []

    def look(browser):
        page = browser.new_page(color_scheme=scheme)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for name in ("index.html", "tutorials/01_quickstart.html"):
            page.goto(f"{address}/{name}", wait_until="networkidle")
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    ground = looked_at(look)
    assert errors == []
    assert len(asked) > 4
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 300) is (scheme == "dark")


@pytest.mark.browser
def test_the_search_finds_a_page(address):
    def look(browser):
        page = browser.new_page()
        with page.expect_response("**/search_index.json"):
            page.goto(f"{address}/index.html")
        page.click("input[name=query]")
        page.locator("input[name=query]").press_sequentially("null band")
        # A locator: the list is drawn anew while its words are typed, and an element of it goes.
        page.locator(".md-search-result__item a[href*=concepts]").first.click(timeout=90_000)
        page.wait_for_url("**/concepts.html*")
        return page.inner_text("article").casefold()

    assert "null band" in looked_at(look)
