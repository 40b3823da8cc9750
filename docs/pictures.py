"""Draws the README's pictures from real widgets over the index of ``make demo``."""

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]
from bridge import Bridge  # noqa: E402
from lab import BROWSER_ARGS, chromium_path  # noqa: E402

from matir_nb.opening import open_engine  # noqa: E402

INDEX = ROOT / "build" / "demo" / "scenes.matir"
QUERY = "a small striped ring"
SETTLED_MS = 2500
EDGE_PX = 12


def mounted(page: Page, widget: Any) -> None:
    """Show one widget on an empty page, everything loaded."""
    page.reload()
    page.wait_for_function("globalThis.host !== undefined")
    page.evaluate("id => host.mount(id).then(() => null)", widget.model_id)
    page.wait_for_timeout(SETTLED_MS)


def words_open(page: Page) -> None:
    """Open the words, and pin the first adjective."""
    page.locator("summary", has_text="Words").click()
    page.wait_for_timeout(SETTLED_MS)
    page.get_by_role("button", name="striped").first.click()


def picture(page: Page, name: str, theme: str, size: tuple[int, int]) -> None:
    """Write one picture."""
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type] # "light" or "dark"
    page.evaluate(
        """theme => {
            document.body.dataset.jpThemeLight = String(theme === "light");
            document.body.style.background = theme === "light" ? "#fff" : "#111";
        }""",
        theme,
    )
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.wait_for_timeout(SETTLED_MS)
    target = ROOT / "docs" / f"{name}-{theme}.png"
    page.screenshot(path=target, animations="disabled")
    with Image.open(target) as shot:
        trimmed(shot.convert("RGB")).quantize(256).save(target, optimize=True)


def trimmed(shot: Image.Image) -> Image.Image:
    """Return a picture without the empty page below the widget."""
    empty = Image.new("RGB", shot.size, shot.getpixel((0, shot.height - 1)))
    box = ImageChops.difference(shot, empty).getbbox()
    bottom = shot.height if box is None else min(box[3] + EDGE_PX, shot.height)
    return shot.crop((0, 0, shot.width, bottom))


def draw(page: Page) -> None:
    """Draw all pictures."""
    engine = open_engine(INDEX)
    result = engine.search(QUERY, k=24)
    other = engine.search("a small striped circle", k=24)
    nothing: Callable[[Page], None] = lambda _page: None  # noqa: E731
    for name, widget, prepare, theme, size in (
        ("grid", result.grid(panel="inspector"), nothing, "light", (1280, 900)),
        ("flow", result.flow(), nothing, "dark", (1280, 820)),
        ("inspector", result.inspector(1), words_open, "light", (1280, 1190)),
        ("compare", result.compare(other).view(tile_px=120), nothing, "light", (1280, 900)),
    ):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        mounted(page, widget)
        prepare(page)
        picture(page, name, theme, size)


def main() -> None:
    """Start a browser beside the widgets' bridge, and draw."""
    with (
        closing(Bridge()) as bridge,
        bridge.installed(),
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=chromium_path(), args=list(BROWSER_ARGS)
        ) as browser,
    ):
        page = browser.new_page()
        page.goto(bridge.url)
        page.wait_for_function("globalThis.host !== undefined")
        draw(page)


if __name__ == "__main__":
    main()
