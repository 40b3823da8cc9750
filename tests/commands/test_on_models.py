"""`matir models` on the console and in a shell of IPython, and its page of the docs."""

import io
import os
import re
import sys
from pathlib import Path

import polars as pl
import pytest
from hub_server import outcome, serving
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from traitlets.config import Config

from matir_nb import cli
from matir_nb.catalogue import CATALOGUE, ROLES
from matir_nb.commands import tree as commands
from matir_nb.commands.on_models import named_entries
from matir_nb.models import hub_table
from matir_nb.notebook.completion import complete
from matir_nb.offline import VARIABLES, kept_offline, offline_by
from matir_nb.presets import DEVICES, EXPECTED, MEANT_FOR, PRESETS, models_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.fixture(autouse=True)
def nothing_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def shell(monkeypatch):
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    made = InteractiveShell(config=config)
    made.run_line_magic("load_ext", "matir_nb")
    yield made
    made.run_line_magic("unload_ext", "matir_nb")
    made.history_manager.end_session()


def test_presets_and_models_are_listed(capsys):
    assert cli.main(["models"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for preset in PRESETS.values():
        assert re.search(rf"^{preset.name} +{MEANT_FOR[preset.name]} ", out, re.MULTILINE)
        assert f"{preset.segmenter} + {preset.encoder} + {preset.judge}" in out
    for entry in CATALOGUE.values():
        size = f"{entry.disk_mb / 1000:.1f} GB"
        row = rf"^{re.escape(entry.name)} .* {size} .* no  {re.escape(entry.licence)}$"
        assert re.search(row, out, re.MULTILINE), entry.name
    assert "matir models fetch PRESET|MODEL" in out


def test_the_tables_have_every_model_once_and_what_is_here(tmp_path):
    frame = hub_table.models_table()
    assert set(frame["model"]) == set(CATALOGUE)
    assert frame.height == len(CATALOGUE)
    assert list(dict.fromkeys(frame["role"])) == list(ROLES)
    assert not frame["is_here"].any()
    folder = tmp_path / "home" / "models" / "alpha-clip-b16"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text("")
    here = hub_table.models_table().filter(pl.col("is_here"))["model"]
    assert list(here) == ["alpha-clip-b16"]
    presets = hub_table.presets_table()
    assert dict(presets.select("preset", "is_here").iter_rows()) == {
        name: name == "embedded" for name in PRESETS
    }
    (row,) = presets.filter(pl.col("preset") == "paper").iter_rows(named=True)
    segmenter, encoder, judge = (CATALOGUE[row[role]] for role in ROLES)
    assert row["disk_mb"] == segmenter.disk_mb + encoder.disk_mb + judge.disk_mb
    assert segmenter.memory_mb < judge.memory_mb
    assert row["memory_mb"] == encoder.memory_mb + judge.memory_mb
    assert row["licences"] == "Apache-2.0, CC-BY-NC-4.0"


def test_in_a_notebook_the_table_is_the_result(shell, capsys):
    frame = shell.run_line_magic("matir", "models")
    assert frame.equals(hub_table.models_table())
    assert "open-cpu  = sam2.1-hiera-tiny" in capsys.readouterr().out


def test_a_preset_means_all_its_models_and_each_only_once():
    names = [entry.name for entry in named_entries(["open-cpu", "clip-b16", "open-cpu"])]
    assert names == ["sam2.1-hiera-tiny", "siglip2-base-512", "florence-2-base-ft", "clip-b16"]
    assert named_entries(["embedded"]) == []


def test_wrong_names_are_answered_with_the_nearest(capsys):
    for line, hint in (
        (["fetch", "opn-cpu"], "unknown preset or model 'opn-cpu': did you mean 'open-cpu'?"),
        (["convert", "clip-b16", "x.pth"], "did you mean 'alpha-clip-b16'?"),
        (["fetch"], "the following arguments are required: PRESET|MODEL"),
        (["fetsh"], "unknown command 'fetsh': did you mean 'fetch'?"),
        (["convert", "alpha-clip-b16", "/no/x.pth"], "there is no file '/no/x.pth': load it from"),
    ):
        assert cli.main(["models", *line]) == 2
        assert hint in capsys.readouterr().err


def test_fetching_the_embedded_models_is_not_needed(capsys):
    assert cli.main(["models", "fetch", "embedded"]) == 0
    out, err = capsys.readouterr()
    assert out == "no model was fetched\n"
    assert "preset embedded: its models are part of the installation" in err


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Return the names of the models that are fetched: nothing is loaded."""
    names = []
    monkeypatch.setattr(
        "matir_nb.models.hub.fetch", lambda entry, **_: (names.append(entry.name), tmp_path)[1]
    )
    return names


def test_that_the_embedded_models_are_there_is_said_beside_others(capsys, fetched):
    assert cli.main(["models", "fetch", "embedded", "clip-b16"]) == 0
    assert fetched == ["clip-b16"]
    assert "preset embedded: its models are part of the installation" in capsys.readouterr().err


def test_auto_fetches_what_it_picks_here_and_says_which(capsys, fetched, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert cli.main(["models", "fetch", "auto"]) == 0
    assert fetched == [entry.name for entry in models_of(PRESETS["open-cpu"])]
    assert "preset open-cpu: models run on " in capsys.readouterr().err


def test_a_model_is_fetched_from_a_real_server(tmp_path):
    files = {"config.json": b"{}", "model.safetensors": b"w" * 1000}
    program = """
    import contextlib, dataclasses, io
    from matir_nb import catalogue, cli
    from matir_nb.commands import on_models
    from matir_nb.models import hub_table
    name = "sam2.1-hiera-tiny"
    tiny = dataclasses.replace(catalogue.CATALOGUE[name], repo="tests/tiny", revision="main")
    on_models.CATALOGUE = hub_table.CATALOGUE = {name: tiny}
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        codes = [cli.main(["models", "fetch", name]), cli.main(["models", "fetch", name])]
    out = [codes, text.getvalue()]
    """
    with serving(files) as server:
        codes, text = outcome(server, tmp_path, program)
        assert server.ranges("/model.safetensors") == [""]
    assert codes == [0, 0]
    assert "sam2.1-hiera-tiny: 0.2 GB, Apache-2.0, tests/tiny" in text
    assert str(tmp_path / "hf" / "hub") in text
    assert re.search(r"^sam2.1-hiera-tiny .* yes  Apache-2.0$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%matir mod", {"models"}),
        ("%matir models ", {"fetch", "convert"}),
        ("%matir models fetch open", {"open", "open-cpu"}),
        ("%matir models fetch open qwen3-vl-4", {"qwen3-vl-4b"}),
        ("%matir models convert alpha-clip-l", {"alpha-clip-l14", "alpha-clip-l14-336"}),
        ("%matir search ring --off", {"--offline"}),
    ],
)
def test_what_can_follow(line, expected):
    assert set(complete(line, commands.build_parser("%matir"), {}).texts) == expected


# --offline


@pytest.fixture
def online(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    constants = sys.modules["huggingface_hub.constants"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return constants


def test_offline_holds_within_and_not_behind(online):
    assert offline_by() is None
    with kept_offline(wanted=True):
        assert offline_by() == "HF_HUB_OFFLINE"
        assert online.HF_HUB_OFFLINE is True
    assert "HF_HUB_OFFLINE" not in os.environ
    assert online.HF_HUB_OFFLINE is False
    os.environ["HF_HUB_OFFLINE"] = "0"
    with pytest.raises(RuntimeError, match="within"), kept_offline(wanted=True):
        raise RuntimeError("within")
    assert os.environ.pop("HF_HUB_OFFLINE") == "0"
    with kept_offline(wanted=False):
        assert offline_by() is None


@pytest.mark.parametrize("value", ["1", "true", "Yes", "ON"])
@pytest.mark.parametrize("name", VARIABLES)
def test_the_environment_can_forbid_the_network(online, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert offline_by() == name
    monkeypatch.setenv(name, "0")
    assert offline_by() is None


@pytest.mark.parametrize(
    "line",
    [
        "index folder --offline",
        "open name --offline",
        "search a ring --offline",
        "trace a ring --image x --offline",
        "sensitivity --offline",
        "calibrate --offline",
        "eval scenes --offline",
        "eval explain --offline",
    ],
)
def test_commands_that_load_models_can_be_kept_offline(line, online, monkeypatch):
    seen = []
    args, _ = commands.build_parser().parse_known_args(line.split())
    assert args.offline
    monkeypatch.setattr(
        commands.Parser,
        "parse_known_args",
        lambda *_: (_with_run(args, lambda *_: seen.append(offline_by())), []),
    )
    commands.run(line.split(), cli.Console(io.StringIO(), io.StringIO()))
    assert seen == ["HF_HUB_OFFLINE"]
    assert offline_by() is None


def _with_run(args, run):
    args.run = run
    return args


def test_a_missing_model_is_an_error_that_names_the_command(tmp_path, online, capsys):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "photos" / "a.png")
    argv = ["index", str(tmp_path / "photos"), "--preset", "open-cpu", "--offline"]
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    command = "`matir models fetch siglip2-base-512`"
    assert f"{command} (all of preset open-cpu: `matir models fetch open-cpu`)" in error
    assert error.count("\n") == 1
    assert "--offline" in error
    assert offline_by() is None


# doctor


def test_doctor_says_what_is_not_fetched_and_how(capsys, monkeypatch):
    cli.main(["doctor", "--device", "cpu"])
    lines = capsys.readouterr().out.splitlines()
    for name in ("open-cpu", "open", "paper"):
        (place,) = [i for i, line in enumerate(lines) if line.startswith(f"ok  {name}: models ")]
        missing = ", ".join(entry.name for entry in models_of(PRESETS[name]))
        assert f"not fetched: {missing}; " in lines[place]
        assert "GB of disk needed, " in lines[place]
        assert lines[place + 1].endswith(f"if you want it: matir models fetch {name}")
    assert not any("embedded: models" in line for line in lines)
    monkeypatch.setattr("matir_nb.models.hub_repo.free_space", lambda: 10**9)
    cli.main(["doctor", "--device", "cpu"])
    assert "1.0 GB free" in (out := capsys.readouterr().out)
    assert out.count("set HF_HOME to a folder on a larger disk") == 3


# docs/models.md


def preset_lines():
    """Return the table of presets as the docs have it."""
    head = "| preset | segmenter | encoder | judge | licences | device | disk | memory | CPU: s/image, s/query | GPU: s/image, s/query |"  # noqa: E501
    lines = [head, re.sub(r"[^|]+", "---", head)]
    for row in hub_table.presets_table().iter_rows(named=True):
        seconds = [
            ", ".join(_seconds(getattr(EXPECTED[row["preset"]][device], what)) for what in WHATS)
            for device in DEVICES
        ]
        names = [row[name] for name in ("preset", "segmenter", "encoder", "judge")]
        sizes = [_size(row[name]) for name in ("disk_mb", "memory_mb")]
        cells = [*(f"`{name}`" for name in names), row["licences"], row["device"], *sizes, *seconds]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


WHATS = ("image", "query")


def _seconds(value):
    return "-" if value is None else f"{value:.1f}"


def _size(megabytes):
    return f"{megabytes / 1000:.1f} GB" if megabytes else "-"


def model_lines():
    """Return the table of models as the docs have it."""
    head = "| model | role | licence | disk | memory | repository | commit |"
    lines = [head, re.sub(r"[^|]+", "---", head)]
    for entry in CATALOGUE.values():
        repo = f"[{entry.repo}](https://huggingface.co/{entry.repo})"
        if entry.checkpoint is not None:
            repo = f"{repo} + [{entry.checkpoint.file}]({entry.checkpoint.page})"
        cells = [f"`{entry.name}`", entry.role, entry.licence, _size(entry.disk_mb)]
        cells += [_size(entry.memory_mb), repo, f"`{entry.revision[:12]}`"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


@pytest.mark.parametrize(("name", "lines"), [("presets", preset_lines), ("models", model_lines)])
def test_the_docs_have_the_table(name, lines):
    text = DOCUMENT.read_text(encoding="utf-8")
    found = text.partition(f"<!-- {name}:begin -->\n")[2].partition(f"<!-- {name}:end -->")[0]
    expected = "\n".join(lines()) + "\n"
    assert found == expected, f"put this between the marks of docs/models.md:\n{expected}"


def test_every_command_of_the_docs_can_be_typed():
    text = DOCUMENT.read_text(encoding="utf-8")
    typed = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    assert len(typed) >= 3
    for line in typed:
        program, *argv = line.partition("#")[0].split()
        assert program == "matir"
        args, extra = commands.build_parser().parse_known_args(argv)
        assert callable(args.run)
        assert extra == []


def test_what_the_docs_say_of_options_and_places_is_so():
    text = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    for name in VARIABLES:
        assert f"`{name}=1`" in text
    tree = commands.build_parser()
    offline = {
        name
        for name, parser in tree.commands.items()
        for sub in (parser, *parser.commands.values())
        if "--offline" in sub._option_string_actions
    }
    said = text.partition("`matir index`")[2].partition(" take `--offline`")[0]
    assert offline == {"index", *re.findall(r"`(\w+)`", said)}
