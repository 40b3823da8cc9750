"""``%matir`` in an IPython shell, with models that know the scenes."""

import json
import os
import subprocess
import sys

import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, scene_gallery
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import matir_nb
from matir_nb import engine
from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, IndexNotFoundError, MatirError
from matir_nb.home import registered, settings
from matir_nb.index.build import build
from matir_nb.notebook import magics
from matir_nb.notebook.face import Told
from matir_nb.notebook.magics import Interrupted
from matir_nb.results import SearchResult
from matir_nb.widgets.flow import StageFlow
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector

N = 12


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("magics")
    return folder, scene_gallery(folder / "images", N)


@pytest.fixture
def opened(scenes, monkeypatch):
    """Replace the models, and return a list that grows with each encoder that is loaded."""
    loaded = []

    def load_encoder(*_):
        loaded.append(OracleEncoder(scenes[1]))
        return loaded[-1]

    monkeypatch.setattr(
        "matir_nb.index.build.load_segmenter", lambda *_: OracleMaskSource(scenes[1])
    )
    monkeypatch.setattr("matir_nb.index.build.load_encoder", lambda *_: OracleEncoder(scenes[1]))
    monkeypatch.setattr("matir_nb.opening.load_encoder", load_encoder)
    monkeypatch.setattr("matir_nb.opening.load_judge", lambda *_: OracleJudge())
    return loaded


@pytest.fixture
def shell(scenes, opened, tmp_path, monkeypatch):
    """Return a shell with the magic, in which the index "scenes" is current."""
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MATIR_DEBUG", raising=False)
    for key in settings.KEYS:
        monkeypatch.delenv(settings.variable_of(key), raising=False)
    index = scenes[0] / "scenes.matir"
    build(scenes[0] / "images", index)
    registered.add(index)
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    matir_nb.load_ipython_extension(shell)
    yield shell
    matir_nb.unload_ipython_extension(shell)


@pytest.fixture
def matir(shell):
    """Return a function that runs a line magic, or a cell magic where there is a body."""

    def run(line, body=None):
        if body is None:
            return shell.run_line_magic("matir", line)
        return shell.run_cell_magic("matir", line, body)

    return run


def shown_error(shell, code):
    """Run a cell that fails and return what is shown."""
    with capture_output() as captured:
        result = shell.run_cell(code)
    assert not result.success
    return (captured.stdout + captured.stderr).strip()


# searching


def test_a_search_gives_its_result_back(matir):
    result = matir("search orange crescent -k 3")
    assert isinstance(result, SearchResult)
    assert result.query == "orange crescent"
    assert len(result) == 3
    assert isinstance(result.source, Engine)


def test_a_line_can_be_assigned_and_used_in_a_loop(shell):
    code = (
        "found = []\n"
        "for word in ['red', 'blue']:\n"
        "    r = %matir search {word + ' ring'} -k 1  # a comment\n"
        "    found.append(r.query)\n"
    )
    assert shell.run_cell(code).success
    assert shell.user_ns["found"] == ["red ring", "blue ring"]


def test_words_with_an_apostrophe_are_just_words(shell):
    assert shell.run_cell("r = %matir search the dog's (red) ball -k 1").success
    assert shell.user_ns["r"].query == "the dog's (red) ball"


def test_a_cell_holds_the_query(shell):
    assert shell.run_cell('%%matir search -k 2 -o r\na ring that isn\'t\n  "small" {{x}}').success
    assert shell.user_ns["r"].query == 'a ring that isn\'t "small" {x}'
    assert len(shell.user_ns["r"]) == 2


def test_a_filter_stands_in_quotes(matir, scenes):
    first = min(path.name for path in (scenes[0] / "images").iterdir())
    line = f"""search red ring --where "name = '{first}' and width > 10" -k 3"""
    for result in (matir(line), matir(line.replace(" red ring", ""), "red ring")):
        assert [hit.image_id for hit in result] == [first]
        assert f"where name = '{first}' and width > 10: 1 of 12 images" in result.provenance.notices
    with pytest.raises(ConfigError, match=r"cannot be parsed: expected an expression, found the"):
        matir('search red ring --where "width >"')


@pytest.mark.parametrize("line", ["search red ring -k 1;", "search red's -k 1 ;  # why"])
def test_a_semicolon_silences_but_the_work_is_done(matir, shell, line):
    assert matir(line) is None
    assert len(matir("show LAST").result) == 1
    assert matir("search -k 2 -o r", "a ring;") is None
    assert shell.user_ns["r"].query == "a ring"


def test_an_output_file_is_written_by_its_ending(matir, tmp_path):
    result = matir(f"search red ring -k 2 -o '{tmp_path}/my hits.json'")
    assert len(result) == 2
    assert json.loads((tmp_path / "my hits.json").read_text())["query"] == "red ring"


def test_a_format_is_shown_as_text(matir):
    told = matir("search red ring -k 2 --format csv")
    assert repr(told).startswith("query,rank,image_id")
    assert len(repr(told).splitlines()) == 3
    assert told.query == "red ring"


def test_an_expression_is_the_query_only_when_it_is_all_of_it(matir, shell):
    shell.user_ns["words"] = ["red", "ring"]
    assert matir("search {' '.join(words[i] for i in range(2))} -k 1").query == "red ring"
    assert matir("search {{words}} ring -k 1").query == "{words} ring"
    assert matir("search '{{words}}' -k 1").query == "{words}"


def test_local_variables_are_seen(shell):
    code = (
        "def ask(word):\n"
        "    r = %matir search {word} -k 1\n"
        "    view = %matir explain r\n"
        "    return view\n"
        "view = ask('red')"
    )
    assert shell.run_cell(code).success
    assert shell.user_ns["view"].result.query == "red"


def test_models_are_loaded_once_and_the_index_is_opened_again_when_it_changes(
    matir, opened, scenes
):
    first = matir("search red -k 1").source
    assert matir("search blue -k 1").source is first
    assert matir("search blue -k 1 --stage 1").source.encoder is first.encoder
    assert len(opened) == 1
    (scenes[0] / "scenes.matir/manifest.json").touch()
    again = matir("search red -k 1").source
    assert again is not first
    assert again.encoder is first.encoder


# results


def test_views_of_a_variable_and_of_the_last_result(matir, shell):
    result = shell.user_ns["r"] = matir("search red ring -k 4")
    grid = matir("show r --rank 2")
    assert isinstance(grid, ResultGrid)
    assert grid.result is result
    assert (grid.current, grid.panel) == (result.hits[1].image_id, "inspector")
    inspector = matir("explain LAST --rank 3")
    assert isinstance(inspector, Inspector)
    assert inspector.current == result.hits[2].image_id
    assert isinstance(matir("flow r"), StageFlow)


def test_a_grid_can_be_named_its_marks_come_along_and_views_are_joined(matir, shell, tmp_path):
    result = matir("search red ring -k 3")
    best = result.hits[0].image_id
    grid = shell.user_ns["grid"] = matir("show LAST")
    grid.marks = {best: "relevant"}
    inspector = matir("explain grid --rank 2")
    grid.selection = [best]
    assert inspector.selection == (best,)
    assert matir("flow grid").marks == {best: "relevant"}
    assert matir("show grid").marks == {best: "relevant"}
    path = matir(f"export grid {tmp_path}/hits.csv")
    assert pl.read_csv(path)["mark"].to_list() == ["relevant", None, None]


def test_the_last_result_outlives_the_kernel(matir, shell, opened):
    result = matir("search red ring -k 3")
    matir_nb.unload_ipython_extension(shell)
    matir_nb.load_ipython_extension(shell)
    del opened[:]
    grid = matir("show LAST")
    assert grid.result == result
    hit = result.hits[0]
    assert grid.result.source.load_image(hit.image_id, max_side=32).shape[1] == 32
    assert opened == []
    scores = grid.result.source.region_scores_of("red ring", hit.image_id)
    assert len(opened) == 1
    assert scores.max() == pytest.approx(hit.best_region_score, abs=1e-3)


def test_a_saved_result_is_named_by_its_file(matir, tmp_path):
    result = matir(f"search red ring -k 3 -o {tmp_path}/r.parquet")
    assert matir(f"show {tmp_path}/r.parquet").result == result


def test_marks_come_back_from_a_saved_file(matir, shell, tmp_path):
    result = matir("search red ring -k 3")
    marks = {result.hits[1].image_id: "unsure"}
    shell.user_ns["grid"] = result.grid(marks=marks)
    saved = matir(f"export grid {tmp_path}/r.parquet")
    for command in ("show", "explain", "flow"):
        assert matir(f"{command} {saved}").marks == marks
    again = matir(f"export {saved} {tmp_path}/again.csv")
    assert pl.read_csv(again)["mark"].to_list() == [None, "unsure", None]


def test_marks_on_hits_that_left_stay_in_the_review(matir, shell, tmp_path):
    before = matir("search green heart striped -k 3 --n-judged 1")
    grid = shell.user_ns["grid"] = before.grid(marks={h.image_id: "unsure" for h in before})
    after = grid.judge_more(N)
    held = dict(grid.marks)
    left = held.keys() - {hit.image_id for hit in after}
    assert left
    for command in ("show", "explain", "flow"):
        marks = matir(f"{command} grid").marks
        assert [marks.get(hit.image_id) for hit in after] == [held.get(h.image_id) for h in after]
    assert grid.marks == held
    saved = pl.read_csv(matir(f"export grid {tmp_path}/hits.csv"))
    assert saved["mark"].to_list() == [held.get(hit.image_id) for hit in after]
    assert set(grid.review.to_polars()["image_id"]) >= left


def test_a_sheet_is_written_beside_the_grid(matir, tmp_path, capsys):
    matir("search red ring -k 3;")
    assert isinstance(matir(f"show LAST -o {tmp_path}/x.png"), ResultGrid)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert "3 hits" in capsys.readouterr().out


def test_a_sheet_has_the_marks(matir, shell, tmp_path):
    result = matir("search red ring -k 3")
    shell.user_ns["grid"] = result.grid(marks={result.hits[1].image_id: "unsure"})
    matir(f"show LAST -o {tmp_path}/plain.png")
    matir(f"show grid -o {tmp_path}/marked.png")
    exported = matir(f"export grid {tmp_path}/exported.png")
    marked = (tmp_path / "marked.png").read_bytes()
    assert marked != (tmp_path / "plain.png").read_bytes()
    assert marked == exported.read_bytes()


# indexes, settings


def test_a_folder_is_indexed_listed_and_opened(matir, scenes, tmp_path):
    report = matir(f"index {scenes[0]}/images --out {tmp_path}/second.matir")
    assert isinstance(report, Told)
    assert report.n_images == N
    assert f"{N} images" in repr(report)
    assert "on photographs their scores mean nothing" in repr(report)
    frame = matir("list")
    assert frame["name"].to_list() == ["scenes", "second"]
    assert frame["current"].to_list() == [False, True]
    assert frame["images"].to_list() == [N, N]
    assert matir("status").index.path == (tmp_path / "second.matir").resolve()
    assert isinstance(matir("open scenes"), Engine)
    assert "oracle-encoder" in repr(matir("status"))
    with pytest.raises(ConfigError, match="the name 'second' belongs to the index at"):
        matir("open scenes --name second")


def test_a_list_of_nothing_says_what_to_do(matir, capsys):
    assert matir("list --forget scenes").is_empty()
    assert "no index is known by name yet: make one" in capsys.readouterr().out


def test_what_another_notebook_opens_does_not_change_this_one(matir, scenes, tmp_path):
    matir("open scenes;")
    registered.add(tmp_path / "other.matir")
    assert registered.known().current == "other"
    assert len(matir("search red -k 1")) == 1
    assert matir("list").filter(pl.col("current"))["name"].to_list() == ["scenes"]


def test_a_relative_path_is_still_right_in_another_folder(matir, scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(scenes[0])
    matir("open ./scenes.matir;")
    monkeypatch.chdir(tmp_path)
    assert len(matir("search red -k 1")) == 1


def test_settings_hold_in_this_kernel_and_are_written_when_told(matir, shell):
    shell.run_line_magic("config", "Matir.k = 3")
    assert len(matir("search red")) == 3
    assert settings.stored().k == 12
    assert matir("config k 4").k == 4
    assert settings.stored().k == 4
    assert len(matir("search red")) == 4
    shell.run_line_magic("config", 'Matir.preview = "never"')
    assert settings.load().preview == "never"
    assert shell.run_line_magic("config", "Matir.tile_px") == 192
    matir("config tile_px 128;")
    assert matir("show LAST").tile_px == 128
    matir_nb.unload_ipython_extension(shell)
    assert settings.load() == settings.stored()
    assert "MATIR_K" not in os.environ


def test_settings_come_from_ipythons_own_file_too(shell):
    matir_nb.unload_ipython_extension(shell)
    shell.config.Matir.k = 5
    matir_nb.load_ipython_extension(shell)
    assert settings.load().k == 5


# help and errors


@pytest.mark.parametrize("line", ["", "help", "--help", "help search", "search -h", "--version"])
def test_help_is_an_answer(matir, capsys, line):
    assert matir(line) is None
    out, err = capsys.readouterr()
    assert out.startswith(("usage: %matir", "matir 0."))
    assert err == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("serch red", "unknown command 'serch': did you mean 'search'"),
        ("search red --idx x", r"did you mean '--index'.*%matir search --help"),
        ("search -x", "go last, after --"),
        ("search 'red", "%%matir search"),
        ("search red -k many", "invalid int value: 'many'"),
        ("search {nothing}", "{nothing} cannot be evaluated: NameError: name 'nothing'"),
        ("search {1/0}", "ZeroDivisionError"),
        ("search {[1]}", "of type list: give a str"),
        ("search red -o for", "the ending says what is written"),
        ("explain rr", "unknown result 'rr': did you mean 'r'"),
        ("explain sys", "'sys' holds no result, but a module"),
        ("help shwo", "did you mean 'show'"),
    ],
)
def test_a_wrong_line_is_one_line(shell, matir, line, message):
    shell.user_ns["r"] = matir("search red -k 1")
    shell.user_ns["sys"] = sys
    with pytest.raises(UsageError, match=message) as caught:
        matir(line)
    assert "\n" not in str(caught.value)
    shown = shown_error(shell, f"%matir {line}")
    assert shown.startswith("UsageError: ")
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("search red -i scnes", ConfigError, "unknown index 'scnes': did you mean 'scenes'"),
        ("search red -i gone.matir", IndexNotFoundError, "no index at"),
        ("search red -k 99", ConfigError, "k = 99 is more than the 12 images"),
        ("config k 0", ConfigError, "k = 0 is not allowed"),
        ("explain r --rank 2", ConfigError, "rank = 2 is not allowed: give 1 to 1"),
    ],
)
def test_a_domain_error_is_one_line(shell, matir, line, kind, message):
    shell.user_ns["r"] = matir("search red -k 1")
    with pytest.raises(kind, match=message):
        matir(line)
    shown = shown_error(shell, f"%matir {line}")
    assert shown.startswith(f"{kind.__name__}: ")
    assert len(shown.splitlines()) == 1


def test_an_error_of_the_system_is_one_line(shell, matir, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "/x/hits.csv")

    monkeypatch.setattr("matir_nb.results.SearchResult.to_polars", full)
    monkeypatch.setattr("matir_nb.commands.session.Session.remember", lambda *_: None)
    with pytest.raises(MatirError, match=r"No space left on device '/x/hits\.csv'"):
        matir("search red -k 1 --format csv")


def test_hostile_text_in_an_error_is_escaped(shell):
    shown = shown_error(shell, "import matir_nb\nraise matir_nb.ConfigError('a\\x1b[31m\\nb')")
    assert shown == "ConfigError: a\\x1b[31m b"


def test_debugging_shows_the_whole_traceback(shell, monkeypatch):
    monkeypatch.setenv("MATIR_DEBUG", "1")
    shown = shown_error(shell, "%matir search red -i scnes")
    assert "Traceback" in shown
    assert "registered.py" in shown
    assert shown.splitlines()[-1].endswith("did you mean 'scenes'?")


def test_two_queries_and_a_body_for_another_command(matir):
    with pytest.raises(UsageError, match="two queries, 'red' on the line"):
        matir("search red", "blue")
    with pytest.raises(UsageError, match="only search takes a query from the cell's body"):
        matir("list", "blue")


def test_an_interrupt_leaves_all_usable(shell, matir, monkeypatch):
    matir("search red -k 1;")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "retrieve_all", interrupted)
        with pytest.raises(Interrupted):
            matir("search blue -k 2")
        shown = shown_error(shell, "%matir search blue -k 2")
    assert shown.startswith("Interrupted: what was finished is kept")
    assert len(shown.splitlines()) == 1
    assert matir("show LAST").result.query == "red"
    assert len(matir("search blue -k 2")) == 2


# the extension itself


def test_loading_twice_is_harmless_and_unloading_leaves_nothing(shell):
    def state():
        return (
            sorted(shell.magics_manager.magics["line"]),
            sorted(shell.magics_manager.magics["cell"]),
            sorted(shell.magics_manager.registry),
            list(shell.configurables),
            list(shell.Completer.custom_matchers),
        )

    loaded = state()
    matir_nb.load_ipython_extension(shell)
    assert state() == loaded
    matir_nb.unload_ipython_extension(shell)
    matir_nb.unload_ipython_extension(shell)
    without = state()
    assert "matir" not in without[0]
    matir_nb.load_ipython_extension(shell)
    again = state()
    assert again[:3] == loaded[:3]
    assert [len(part) for part in again] == [len(part) for part in loaded]
    added = [len(part) - len(other) for part, other in zip(loaded, without, strict=True)]
    assert added == [1, 1, 1, 2, 1]


def test_ipython_itself_loads_reloads_and_unloads(shell):
    matir_nb.unload_ipython_extension(shell)
    for line in ("load_ext", "reload_ext", "reload_ext"):
        shell.run_line_magic(line, "matir_nb")
        assert shell.find_line_magic("matir") is not None
    shell.run_line_magic("unload_ext", "matir_nb")
    assert shell.find_line_magic("matir") is None


def test_a_slow_search_says_how_far_it_is(shell, monkeypatch, capsys):
    from matir_nb import progress

    published = []
    clock = iter(range(0, 100, 2))
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    monkeypatch.setattr(
        "IPython.display.publish_display_data",
        lambda data, transient, update: published.append((data["text/plain"], transient, update)),
    )
    with progress.notebook_progress("judge") as advance:
        advance(3, 9)
        advance(9, 9)
    assert [(text, update) for text, _, update in published] == [
        ("judge: 3 of 9 images, 4 s", False),
        ("judge: 9 of 9 images, 8 s", True),
        ("judge: 9 of 9 images, 10 s", True),
    ]
    assert len({item["display_id"] for _, item, _ in published}) == 1


def test_a_fast_search_says_nothing(monkeypatch):
    from matir_nb import progress

    monkeypatch.setattr("IPython.display.publish_display_data", pytest.fail)
    with progress.notebook_progress("judge") as advance:
        advance(9, 9)


def test_loading_is_fast_and_imports_nothing_heavy(tmp_path):
    code = (
        "import json, sys, time\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell()\n"
        "start = time.perf_counter()\n"
        "shell.run_line_magic('load_ext', 'matir_nb')\n"
        "seconds = time.perf_counter() - start\n"
        "assert shell.find_line_magic('matir')\n"
        "print(json.dumps([seconds, sorted(sys.modules)]))"
    )
    env = {**os.environ, "MATIR_HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    assert seconds < 0.3
    heavy = {"torch", "transformers", "polars", "anywidget", "ipywidgets", "PIL", "numpy", "tqdm"}
    assert heavy.isdisjoint(modules)


def test_the_magic_documents_itself():
    text = magics.MatirMagics.matir.__doc__
    assert "%matir help" in text
    assert "%%matir search" in text
