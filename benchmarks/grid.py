"""A thousand hits with masks in JupyterLab: our grid beside ipywidgets images, in one run.

Both show the same hits in the same server, browser and kernel. The baseline is what one writes
without us: a `GridBox` of `VBox([Image, Label])`, each picture at full size with its mask drawn
in Python. The run fails (exit code 1) below the bars in its last line.

    python benchmarks/grid.py [--n 1000] [--json FILE]
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]
from lab import BROWSER_ARGS, ask, chromium_path, running_lab  # noqa: E402

from matir_nb.scenes.draw import draw_scene  # noqa: E402

SIZE_HW = (480, 640)
N_SCENES = 40
BARS = {"build + first paint": 10.0, "payload": 20.0}
STEP_PX = 60
N_FRAMES = 90
TIMEOUT_S = 540

PREPARE = """
import sys; sys.path.insert(0, {here!r})
from grid_hits import overlaid, result_of
import ipywidgets, matir_nb.widgets.grid
from IPython.display import display
result = result_of({images!r})
_ = overlaid(result, result.hits[0]), ipywidgets.Image(value=b"")
"""
OURS = "grid = result.grid()\ndisplay(grid)"
BASELINE = """
tiles = [
    ipywidgets.VBox([
        ipywidgets.Image(value=overlaid(result, hit), format="jpeg", width=192),
        ipywidgets.Label(f"{hit.rank}  {hit.final_score:.2f}  {hit.image_id}"),
    ])
    for hit in result.hits
]
box = ipywidgets.GridBox(
    tiles, layout=ipywidgets.Layout(grid_template_columns="repeat(4, 200px)")
)
window = ipywidgets.Box(
    [box], layout=ipywidgets.Layout(height="720px", overflow="auto", display="block")
)
window.add_class("baseline-window")
display(window)
"""
HELPERS = Path(__file__).with_name("grid_hits.py")

WATCH_SOCKET = """() => {
    const count = globalThis.received = {bytes: 0, messages: 0};
    const add = ({data}) => {
        count.messages += 1;
        count.bytes += data.byteLength ?? data.size ?? data.length;
    };
    const Native = globalThis.WebSocket;
    globalThis.WebSocket = class extends Native {
        constructor(...values) { super(...values); this.addEventListener("message", add); }
    };
}"""
RUN = """async ([code, ready]) => {
    const {kernel} = globalThis.panel.sessionContext.session;
    const {content} = globalThis.panel;
    const before = {...globalThis.received};
    content.activeCellIndex = content.widgets.length - 1;
    const cell = content.activeCell;
    cell.model.sharedModel.setSource(code);
    const isReady = new Function("node", ready);
    const frame = () => new Promise(requestAnimationFrame);
    const start = performance.now();
    const run = globalThis.jupyterapp.commands.execute("notebook:run-cell");
    let built = null;
    run.then(() => { built = performance.now() - start; });
    while (!isReady(cell.node)) {
        if (performance.now() - start > 500000) throw new Error("nothing was painted");
        await frame();
    }
    await frame();
    const first_paint = performance.now() - start;
    const at_paint = {...globalThis.received};
    await run;
    return {
        build_ms: built ?? performance.now() - start,
        first_paint_ms: first_paint,
        bytes_to_first_paint: at_paint.bytes - before.bytes,
        messages_to_first_paint: at_paint.messages - before.messages,
        nodes: cell.node.querySelectorAll(".jp-OutputArea *").length,
    };
}"""
OURS_READY = """
const tiles = [...node.querySelectorAll(".matir-tile")];
const frame = node.querySelector(".matir-window")?.getBoundingClientRect();
const seen = tiles.filter(tile => tile.getBoundingClientRect().top < frame.bottom
    && tile.getBoundingClientRect().bottom > frame.top);
return seen.length >= 8 && seen.every(tile => tile.querySelector(".matir-loaded")
    && tile.classList.contains("matir-painted"));
"""
BASELINE_READY = """
const images = [...node.querySelectorAll(".widget-image, img.jupyter-widgets")];
const frame = node.querySelector(".baseline-window")?.getBoundingClientRect();
const seen = images.filter(image => image.getBoundingClientRect().top < frame.bottom
    && image.getBoundingClientRect().bottom > frame.top);
return seen.length >= 8 && seen.every(image => image.complete && image.naturalWidth > 0);
"""
SCROLL = """async ([selector, step, n]) => {
    const box = globalThis.panel.content.activeCell.node.querySelector(selector);
    const frame = () => new Promise(requestAnimationFrame);
    box.scrollTop = 0;
    await frame();
    const times = [];
    let last = await frame();
    for (let i = 0; i < n; i++) {
        box.scrollTop += step;
        const now = await frame();
        times.push(now - last);
        last = now;
    }
    if (box.scrollTop < step * n / 2) throw new Error(`scrolled to ${box.scrollTop} only`);
    return times;
}"""
TOGGLE_OURS = """async () => {
    const node = globalThis.panel.content.activeCell.node;
    const frame = () => new Promise(requestAnimationFrame);
    const mask = node.querySelector(".matir-tile.matir-painted .matir-frame canvas");
    const start = performance.now();
    node.querySelector('.matir-segments input[value="none"]').click();
    while (mask.checkVisibility({opacityProperty: true, visibilityProperty: true})) await frame();
    await frame();
    return performance.now() - start;
}"""
TOGGLE_BASELINE = """async code => {
    const {kernel} = globalThis.panel.sessionContext.session;
    const frame = () => new Promise(requestAnimationFrame);
    const images = [...globalThis.panel.content.activeCell.node.querySelectorAll("img")];
    const before = images.map(image => image.src);
    const start = performance.now();
    await kernel.requestExecute({code, store_history: false}).done;
    while (!images.every((image, i) => image.src !== before[i] && image.complete)) await frame();
    return performance.now() - start;
}"""
# the baseline's masks are part of its pictures: all are sent again, from their files
PLAIN = """
from pathlib import Path as _Path
for _tile, _hit in zip(tiles, result.hits):
    _tile.children[0].value = (result.source.image_root / _hit.image_id).read_bytes()
"""
INPUTS = {"ours": (OURS, OURS_READY), "ipywidgets": (BASELINE, BASELINE_READY)}
SCROLLS = {"ours": ".matir-window", "ipywidgets": ".baseline-window"}


def write_pictures(folder: Path, n: int) -> None:
    """Write `n` photo-sized JPEGs of generated scenes and the mask of one object in each."""
    from matir_nb.geometry.masks import encode

    (folder / "images").mkdir(parents=True)
    scenes = [draw_scene("test", i, size_hw=SIZE_HW) for i in range(min(n, N_SCENES))]
    rng, masks = np.random.default_rng(0), {}
    for number in range(n):
        scene = scenes[number % len(scenes)]
        shift, name = int(rng.integers(SIZE_HW[1])), f"scene-{number:04d}.jpg"
        noise = rng.normal(0, 6, (*SIZE_HW, 1))
        pixels = np.clip(np.roll(scene.image, shift, axis=1) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name, quality=85)
        rle = encode(np.roll(scene.visible_mask(0), shift, axis=1))
        masks[name] = (rle.size, rle.counts.decode())
    (folder / "masks.json").write_text(json.dumps(masks))


def measure(page: Page, who: str) -> dict[str, Any]:
    code, ready = INPUTS[who]
    found: dict[str, Any] = page.evaluate(RUN, [code.strip(), ready])
    times = page.evaluate(SCROLL, [SCROLLS[who], STEP_PX, N_FRAMES])
    found["frame_p50_ms"], found["frame_p95_ms"] = map(float, np.percentile(times, [50, 95]))
    if who == "ours":
        found["toggle_masks_ms"] = page.evaluate(TOGGLE_OURS)
    else:
        found["toggle_masks_ms"] = page.evaluate(TOGGLE_BASELINE, PLAIN)
    found["nodes_after_scroll"] = page.evaluate(
        "globalThis.panel.content.activeCell.node.querySelectorAll('.jp-OutputArea *').length"
    )
    return found


def run(n: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of both, each in a kernel and page of its own."""
    (folder / "notebooks").mkdir()
    write_pictures(folder, n)
    (folder / "notebooks" / "grid_hits.py").write_text(HELPERS.read_text())
    figures = {}
    with (
        running_lab(folder / "notebooks", folder / "own", message_rate=10**9) as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium_path(),
            args=list(BROWSER_ARGS),
        )
        for who in INPUTS:
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.add_init_script(f"({WATCH_SOCKET})()")
            name = f"{who}.ipynb"
            cells = [nbformat.v4.new_code_cell("")]
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            metadata = {"kernelspec": kernel}
            notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
            nbformat.write(notebook, folder / "notebooks" / name)
            lab.open(page, name)
            prepare = PREPARE.format(here=str(folder / "notebooks"), images=str(folder))
            page.evaluate(
                """code => globalThis.panel.sessionContext.session.kernel
                    .requestExecute({code, store_history: false}).done
                    .then(reply => { if (reply.content.status !== "ok")
                        throw new Error(reply.content.evalue); })""",
                prepare,
            )
            assert ask(page, "len(result)") == n
            figures[who] = measure(page, who)
            page.context.close()
        browser.close()
    return figures


def report(figures: dict[str, dict[str, Any]], n: int) -> bool:
    """Print a table and, as the last line, the ratios and bars; return whether all are met."""
    ours, other = figures["ours"], figures["ipywidgets"]
    print(f"{n} hits with masks, 640x480, in JupyterLab")
    print(f"{'':26}{'ours':>14}{'ipywidgets':>14}{'ratio':>9}")
    for name, mine in ours.items():
        ratio = other[name] / max(mine, 1e-9)
        print(f"{name:26}{mine:14,.0f}{other[name]:14,.0f}{ratio:8.1f}x")
    shown = {
        "build + first paint": (other["build_ms"] + other["first_paint_ms"])
        / (ours["build_ms"] + ours["first_paint_ms"]),
        "payload": other["bytes_to_first_paint"] / ours["bytes_to_first_paint"],
    }
    passed = {name: shown[name] >= bar for name, bar in BARS.items()}
    print(
        "; ".join(
            f"{name} {shown[name]:.1f}x (bar {bar:.0f}x: {'met' if passed[name] else 'MISSED'})"
            for name, bar in BARS.items()
        )
    )
    return all(passed.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000, help="hits (default 1000)")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args()
    if chromium_path() is None:
        sys.exit("no Chromium: tests/browser/chromium.sh says how to install it")
    folder = Path(tempfile.mkdtemp(prefix="matir-grid-"))
    try:
        figures = run(args.n, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        args.json.write_text(json.dumps({"n": args.n, **figures}, indent=1) + "\n")
    sys.exit(0 if report(figures, args.n) else 1)


if __name__ == "__main__":
    main()
