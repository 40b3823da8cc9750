import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from stand_in import FakeSource, make_result

from matir_nb.errors import ConfigError
from matir_nb.exports.preview import MAX_BYTES, SIDE
from matir_nb.home.settings import Settings, keep
from matir_nb.widgets import display
from matir_nb.widgets.display import display_result, preview
from matir_nb.widgets.fallback import as_html, as_text

pytestmark = pytest.mark.usefixtures("mock_comm", "static")
VIEW = "application/vnd.jupyter.widget-view+json"
SOURCE = FakeSource()


class Publisher:
    def __init__(self):
        self.published = []

    def publish(self, data, metadata=None):
        self.published.append((data, metadata))


class Shell:
    """As much of a kernel's shell as is used."""

    kernel = object()

    def __init__(self):
        self.display_pub = Publisher()


@pytest.fixture
def outputs(monkeypatch):
    shell = Shell()
    monkeypatch.setattr(display, "kernel_shell", lambda: shell)
    return shell.display_pub.published


def test_first_a_picture_then_the_grid(outputs):
    result = make_result(30, source=SOURCE)
    display_result(result)
    (picture, metadata), (view, _) = outputs
    assert set(picture) == {"image/jpeg", "text/plain"}
    assert metadata == {"image/jpeg": {"alt": "matir preview: a dog without a leash"}}
    sheet = Image.open(io.BytesIO(picture["image/jpeg"]))
    assert sheet.format == "JPEG"
    assert sheet.width > 600
    assert b"matir preview" in picture["image/jpeg"], "the view finds and hides it by this"
    assert VIEW in view
    assert view["text/html"] == as_html(result)
    assert picture["text/plain"] == view["text/plain"] == as_text(result)


@pytest.mark.parametrize(
    ("setting", "source", "kinds"),
    [
        ("auto", SOURCE, [{"image/jpeg", "text/plain"}]),
        ("auto", None, []),
        ("always", SOURCE, [{"image/jpeg", "text/plain"}]),
        ("always", None, [{"text/plain"}]),
        ("never", SOURCE, []),
    ],
)
def test_the_setting_decides_about_the_picture(outputs, setting, source, kinds):
    display_result(make_result(3, source=source), Settings(preview=setting))
    assert [set(data) for data, _ in outputs[:-1]] == kinds
    assert VIEW in outputs[-1][0]


def test_the_users_setting_holds(outputs):
    keep("preview", "never")
    display_result(make_result(3, source=SOURCE))
    assert len(outputs) == 1


def test_a_result_displays_itself(outputs):
    make_result(3, source=SOURCE)._ipython_display_()
    assert len(outputs) == 2


def test_the_picture_is_small_whatever_is_shown():
    class Noisy(FakeSource):
        def load_image(self, _image_id, *, max_side=None):
            noise = np.random.default_rng(0).integers(0, 255, (max_side, max_side, 3))
            return noise.astype(np.uint8)

    data, _ = preview(make_result(60, source=Noisy()))
    assert 10_000 < len(data["image/jpeg"]) <= MAX_BYTES


def test_pictures_are_loaded_small():
    sides = []

    class Watched(FakeSource):
        def load_image(self, image_id, *, max_side=None):
            sides.append(max_side)
            return super().load_image(image_id, max_side=max_side)

    preview(make_result(40, source=Watched()))
    assert len(sides) == 12
    assert set(sides) == {SIDE}


def test_unreadable_pictures_leave_empty_tiles():
    result = make_result(3)
    source = FakeSource(broken=[hit.image_id for hit in result])
    data, _ = preview(make_result(3, source=source))
    assert "image/jpeg" in data


def test_a_preview_that_fails_says_why_and_the_grid_still_comes(outputs, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ConfigError("no font")

    monkeypatch.setattr(display, "preview_of", fail)
    display_result(make_result(3, source=SOURCE))
    assert outputs[0][0].keys() == {"text/plain"}
    assert outputs[0][0]["text/plain"].endswith("no picture: no font")
    assert VIEW in outputs[1][0]


def test_no_hits_have_no_picture(outputs):
    display_result(make_result(0, source=SOURCE))
    assert set(outputs[0][0]) == {"text/plain"}
    assert "0 hits" in outputs[0][0]["text/plain"]


def test_outside_of_ipython_it_is_a_table(capsys):
    result = make_result(3, source=SOURCE)
    display_result(result)
    assert capsys.readouterr().out == f"{as_text(result)}\n"


def test_in_a_terminals_ipython_it_is_a_table(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell = InteractiveShell.instance()
    try:
        result = make_result(3, source=SOURCE)
        shell.display_formatter.format(result)
        assert as_text(result) in capsys.readouterr().out
    finally:
        InteractiveShell.clear_instance()
        shell.history_manager.end_session()


def test_a_repl_shows_a_result_without_built_files(tmp_path):
    code = """
import sys
sys.path.insert(0, "tests/widgets"); sys.path.insert(0, "tests")
from matir_nb.widgets import built
from pathlib import Path
built.STATIC = Path("nowhere")
from stand_in import make_result
make_result(2)._ipython_display_()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert "2 hits" in done.stdout, done.stderr


# ---- the tables ----------------------------------------------------------------------------


def test_the_text_has_the_notices_and_every_hit():
    result = make_result(3)
    text = as_text(result)
    assert "embedded models" in text
    assert all(hit.image_id in text for hit in result)
    assert "more" not in text


def test_a_long_table_is_cut_and_says_so():
    result = make_result(30)
    for text in (as_text(result, 5), as_html(result, 5)):
        assert "and 25 more: result.to_polars() has them all" in text
        assert result.hits[4].image_id in text
        assert result.hits[5].image_id not in text


def test_marks_are_told():
    result = make_result(3)
    first, second, third = (hit.image_id for hit in result)
    marks = {first: "relevant", third: "relevant", second: "not relevant"}
    html, text = as_html(result, marks=marks), as_text(result, marks=marks)
    assert f"<p>marked relevant: {first}, {third}</p><p>marked not relevant: {second}</p>" in html
    assert text.count("relevant") == 3
    assert "marked" not in as_html(result)
    assert f"<p>marked relevant: {first}</p>" in as_html(result, 2, marks=marks)


def test_marked_names_stay_text():
    result = make_result(1)
    hit = replace(result.hits[0], image_id="<img src=x>")
    html = as_html(replace(result, hits=(hit,)), marks={"<img src=x>": "unsure"})
    assert "marked unsure: &lt;img src=x&gt;" in html
    assert "<img" not in html


def test_marks_on_images_that_are_no_hits_are_left_out():
    assert "gone.png" not in as_html(make_result(2), marks={"gone.png": "relevant"})


def test_hostile_text_stays_text():
    names = ["<img src=x onerror=alert(1)>.jpg", "\x1b]0;title\x07.jpg"]
    result = make_result(image_ids=names, query="<script>alert(1)</script>\x1b[2J")
    assert "<img" not in as_html(result)
    assert "<script" not in as_html(result)
    assert "\x1b" not in as_text(result)
    data, metadata = preview(make_result(image_ids=names, query="\x1b[2Jcat", source=SOURCE))
    assert "\x1b" not in metadata["image/jpeg"]["alt"]
    assert "\x1b" not in data["text/plain"]
