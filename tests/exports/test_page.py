import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from matir_nb.errors import ConfigError, QueryError
from matir_nb.exports import page
from matir_nb.exports.page import page_html, page_parts, write_page
from matir_nb.widgets import built
from matir_nb.widgets.payload import inspect
from matir_nb.widgets.table import table_document
from tests.exports.examples import HOSTILE, MadeUpSource, hit, result, results_of

SCRIPT = 'start("</script><!--<script>", "</SCRIPT >");if(i<script.length)go()'
STYLE = ".matir::after{content:'</style><script>'}"
DATA = re.compile(r'<script type="application/json" id="matir-data">(.*?)</script>', re.DOTALL)


@pytest.fixture(autouse=True)
def static(tmp_path_factory, monkeypatch):
    """Stand in for the built files of the browser's part."""
    folder = tmp_path_factory.mktemp("static")
    (folder / "page.js").write_text(SCRIPT)
    (folder / "matir.css").write_text(STYLE)
    monkeypatch.setattr(built, "STATIC", folder)
    return folder


class Outline(HTMLParser):
    """What a browser makes of a page: its elements, and the text of each."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self._open = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in ("meta", "br"):
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        while self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data):
        if self._open:
            self.elements[self._open[-1]][2].append(data)

    def all_of(self, tag):
        return [(attrs, "".join(text)) for name, attrs, text in self.elements if name == tag]


def data_of(text):
    (found,) = DATA.findall(text)
    return json.loads(found)


def test_the_page_holds_what_the_widgets_get(static):
    shown = results_of(3, source=MadeUpSource())
    data = data_of(page_html(shown, thumbnail_px=100))
    assert data["table"] == json.loads(json.dumps(table_document(shown)))
    assert data["traits"] == {"_kind": "grid", "marks": {}}
    assert [tile["row"] for tile in data["tiles"]] == [0, 1, 2]
    assert [detail["row"] for detail in data["details"]] == [0, 1, 2]
    tile, detail = data["tiles"][0], data["details"][0]
    assert "buffer" not in tile
    with Image.open(io.BytesIO(base64.b64decode(tile["jpeg"]))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (80, 40))
    assert tile["mask"]["size"] == detail["mask_size"] == [40, 80]
    assert len(tile["regions"]) == len(detail["regions"]) == 1
    assert tile["region_scores"] == [0.25]


def test_the_page_holds_ledgers_and_what_words_add():
    shown = results_of(3, source=MadeUpSource())
    data = data_of(page_html(shown))
    for row, detail in enumerate(data["details"]):
        body, _ = inspect(shown, row, 64)
        assert detail["ledger"] == json.loads(json.dumps(body["ledger"]))
        assert detail["ledger"]
    assert [reply["row"] for reply in data["words"]] == [0, 1, 2]
    for reply in data["words"]:
        assert reply["words"] == ["a", "blue", "square"]
        assert reply["base"] == [0.13]
        assert np.shape(reply["by_word"]) == (3, 1)
        assert len(json.dumps(reply)) < 500


def test_a_query_that_cannot_be_taken_apart_costs_only_its_words(monkeypatch):
    def fail(*_):
        raise QueryError("too long")

    source = MadeUpSource()
    monkeypatch.setattr(source, "text_scores_of", fail)
    data = data_of(page_html(results_of(2, source=source)))
    assert data["words"] == []
    assert len(data["details"]) == 2


def test_the_thumbnails_are_asked_for_at_their_size():
    source = MadeUpSource(lambda _: np.zeros((100, 200, 3), np.uint8))
    page_html(results_of(2, source=source), thumbnail_px=200)
    assert source.sides == [200, 200]


def test_the_page_is_a_document_with_language_title_and_viewport():
    outline = Outline(page_html(results_of(1)))
    assert outline.all_of("html")[0][0] == {"lang": "en"}
    assert outline.all_of("title") == [({}, "a blue square")]
    metas = [attrs for attrs, _ in outline.all_of("meta")]
    assert {"charset": "utf-8"} in metas
    assert any(meta.get("name") == "viewport" for meta in metas)
    assert [attrs.get("id") for attrs, _ in outline.all_of("main")] == ["matir"]
    named = Outline(page_html(results_of(1), title="Findings & more"))
    assert named.all_of("title") == [({}, "Findings & more")]


def test_the_policy_lets_one_script_run_and_nothing_be_fetched():
    outline = Outline(page_html(results_of(1)))
    (policy,) = [attrs["content"] for attrs, _ in outline.all_of("meta") if "http-equiv" in attrs]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    (script,) = [text for attrs, text in outline.all_of("script") if not attrs]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data: blob:",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_script_and_the_style_cannot_end_their_elements():
    outline = Outline(page_html(results_of(1)))
    assert [attrs.get("id") for attrs, _ in outline.all_of("script")] == ["matir-data", None]
    script = outline.all_of("script")[1][1]
    assert script.replace(r"\x3c", "<") == SCRIPT
    assert "if(i<script.length)" in script
    (style,) = outline.all_of("style")
    assert style[1].endswith(STYLE.replace("</", "<\\/"))


def test_hostile_words_stay_text(static):
    one = hit(image_id=HOSTILE, answer=HOSTILE, p_relevant=0.5, logit=0.0, judge_rank=1)
    shown = result(one, query=HOSTILE, notices=(HOSTILE,), source=MadeUpSource())
    text = page_html(shown, title=HOSTILE, marks={HOSTILE: "unsure"})
    outline = Outline(text)
    plain = Outline(page_html(results_of(1, source=MadeUpSource(), notices=("n",))))
    assert [tag for tag, *_ in outline.elements] == [tag for tag, *_ in plain.elements]
    assert outline.all_of("img") == []
    data = data_of(text)
    assert data["table"]["query"] == HOSTILE
    assert data["table"]["columns"]["image_id"] == [HOSTILE]
    assert data["details"][0]["judge"]["answer"] == HOSTILE
    assert data["traits"]["marks"] == {HOSTILE: "unsure"}
    (block,) = DATA.findall(text)
    assert not set("<>&\u2028") & set(block)


def test_a_reader_without_javascript_sees_the_table():
    outline = Outline(page_html(results_of(3)))
    assert len(outline.all_of("noscript")) == 1
    assert len(outline.all_of("tr")) == 4
    assert ("image-3.png") in [text for _, text in outline.all_of("td")]


def test_without_a_source_the_page_has_numbers_and_says_so():
    shown = results_of(2, notices=("embedded models",))
    data = data_of(page_html(shown))
    assert data["table"]["has_pictures"] is False
    assert data["table"]["notices"] == ["embedded models", page.NO_PICTURES]
    assert [tile["jpeg"] for tile in data["tiles"]] == [None, None]
    assert data["tiles"][0]["mask"] is not None
    assert data["details"][0]["ledger"]
    assert data["words"] == []


def test_a_picture_that_cannot_be_read_costs_only_its_tile():
    source = MadeUpSource(missing=("image-2.png",))
    tiles = data_of(page_html(results_of(3, source=source)))["tiles"]
    assert [tile["jpeg"] is not None for tile in tiles] == [True, False, True]
    assert tiles[1]["error"] == "image-2.png is gone"


def test_an_empty_result_is_a_page():
    data = data_of(page_html(result(source=MadeUpSource())))
    assert data["tiles"] == data["details"] == []


def test_hits_are_drawn_one_by_one_while_the_page_is_written():
    source = MadeUpSource(lambda _: np.zeros((40, 80, 3), np.uint8))
    parts = page_parts(results_of(1000, source=source))
    longest = 0
    loaded_by_second = 0
    for part in parts:
        longest = max(longest, len(part))
        if part.startswith(',{"row":1,'):
            loaded_by_second = loaded_by_second or source.n_loaded
    assert loaded_by_second == 2
    assert source.n_loaded == 1000
    assert longest < 400_000


def test_a_script_that_is_not_built_is_said_before_anything_is_written(static, tmp_path):
    (static / "page.js").unlink()
    with pytest.raises(ConfigError, match=r"'page.js' has not been built: run `make static`"):
        write_page(results_of(1), tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side", [0, 63, 513])
def test_a_thumbnail_size_out_of_range_is_refused(side):
    with pytest.raises(ConfigError, match=f"thumbnail_px = {side} is not allowed: give 64 to 512"):
        page_parts(results_of(1), thumbnail_px=side)


def test_marks_must_be_known_and_of_this_result():
    with pytest.raises(ConfigError, match=r"mark 'good' of 'image-1.png' is unknown"):
        page_html(results_of(1), marks={"image-1.png": "good"})
    with pytest.raises(ConfigError, match=r"'other.png' is no hit of this result"):
        page_html(results_of(1), marks={"other.png": "relevant"})


def test_the_written_page_is_the_page(tmp_path):
    shown = results_of(2, source=MadeUpSource())
    path = write_page(shown, tmp_path / "a.html", thumbnail_px=64, title="t")
    assert path.read_text("utf-8") == page_html(shown, thumbnail_px=64, title="t")
