"""Models from a hub that is a server on this machine: every case in a process of its own."""

import io
import json
import random
import shlex
from types import SimpleNamespace

import pytest
import torch
from hub_server import COMMIT, environment, outcome, serving, sha256

from matir_nb.catalogue import CATALOGUE
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.models import hub, hub_advice, hub_checkpoint, hub_download, registry
from matir_nb.models.hub_files import is_complete, wanted, weights_in
from matir_nb.presets import PRESETS

N_BYTES = 3_000_000
WEIGHTS = random.Random(0).randbytes(N_BYTES)
SETTINGS = {
    "config.json": b'{"model_type": "clip"}',
    "tokenizer.json": b'{"version": "1.0"}',
    "merges.txt": b"a b\n",
    "chat_template.jinja": b"{{ messages }}",
    "preprocessor_config.json": b"{}",
}
UNWANTED = {
    "README.md": b"# tiny",
    "modeling_tiny.py": b"raise SystemExit('code of a model must never run')",
    "flax_model.msgpack": b"flax",
    "tf_model.h5": b"tensorflow",
    "tiny.gguf": b"gguf",
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"onnx",
    "original/model.safetensors": b"another layout",
    "sam2.1_hiera_tiny.pt": b"another layout",
}
FETCH = "out = said(lambda: hub.fetch(entry()))"


@pytest.fixture
def server():
    with serving({**SETTINGS, **UNWANTED, "model.safetensors": WEIGHTS}) as running:
        yield running


def blobs(home):
    return home / "hf" / "hub" / "models--tests--tiny" / "blobs"


def part(home):
    return blobs(home) / f"{sha256(WEIGHTS)}.incomplete"


def test_only_what_is_needed_is_fetched_and_only_once(server, tmp_path):
    program = """
    seen = []
    folder = hub.fetch(entry(), progress=lambda done, total: seen.append((done, total)))
    again = hub.fetch(entry())
    out = [str(folder), again == folder, seen, hub.find(entry()) == folder]
    """
    folder, is_same, seen, is_found = outcome(server, tmp_path, program)
    assert is_same
    assert is_found
    names = {path.name for path in (tmp_path / folder).iterdir()}
    assert names == {*SETTINGS, "model.safetensors"}
    assert server.loaded() == names
    assert (tmp_path / folder / "model.safetensors").read_bytes() == WEIGHTS
    assert server.ranges("/model.safetensors") == [""]
    assert seen[0] == [0, 3]
    assert seen[-1] == [3, 3]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) >= 4


def test_the_commit_that_main_is_stays_known(server, tmp_path):
    outcome(server, tmp_path, FETCH)
    record = json.loads((tmp_path / "matir" / "models.json").read_text())["tiny"]
    assert (record["asked"], record["commit"]) == ("main", COMMIT)
    assert record["sha256"]["model.safetensors"] == sha256(WEIGHTS)
    # another program takes a part of a later commit
    server.commit = "f" * 40
    program = """
    from huggingface_hub import hf_hub_download
    hf_hub_download("tests/tiny", "config.json")
    out = str(hub.find(entry()))
    """
    server.asked.clear()
    assert outcome(server, tmp_path, program).endswith(COMMIT)
    assert server.ranges("/model.safetensors") == []


def test_a_pinned_commit_is_asked_for(server, tmp_path):
    program = f"out = str(hub.fetch(entry({COMMIT!r})))"
    assert outcome(server, tmp_path, program).endswith(COMMIT)
    asked = {path for _, path, _ in server.asked if path.startswith("/api")}
    assert all(COMMIT in path for path in asked)


def test_a_cut_connection_goes_on_where_it_broke(server, tmp_path):
    server.cut = {"model.safetensors": 1_200_000}
    server.n_cuts = 2
    outcome(server, tmp_path, FETCH)
    first, second, third = server.ranges("/model.safetensors")
    assert first == ""
    assert 0 < int(second[6:-1]) < int(third[6:-1]) < N_BYTES
    assert (blobs(tmp_path) / sha256(WEIGHTS)).read_bytes() == WEIGHTS


def test_what_an_interrupted_process_loaded_is_kept_for_the_next(server, tmp_path):
    program = """
    def stop(done, total):
        if done >= 1:
            raise KeyboardInterrupt
    try:
        hub.fetch(entry(), progress=stop)
    except KeyboardInterrupt:
        out = "stopped"
    """
    assert outcome(server, tmp_path, program) == "stopped"
    kept = part(tmp_path).stat().st_size
    assert 1_000_000 <= kept < N_BYTES
    seen = "seen = []\nhub.fetch(entry(), progress=lambda *n: seen.append(n))\nout = seen"
    assert outcome(server, tmp_path, seen)[-1] == [3, 3]
    assert server.ranges("/model.safetensors") == ["", f"bytes={kept}-"]
    assert (blobs(tmp_path) / sha256(WEIGHTS)).read_bytes() == WEIGHTS
    assert not part(tmp_path).exists()


def test_a_network_that_stays_broken_is_an_error_that_says_what_to_do(server, tmp_path):
    server.cut = {"model.safetensors": 0}
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(WEIGHTS[:1000])
    text = outcome(server, tmp_path, FETCH)
    assert text.startswith("ModelUnavailableError: the model 'tiny' cannot be fetched (Remote")
    assert "what was loaded so far is kept" in text
    assert "`matir models fetch tiny` goes on" in text
    assert part(tmp_path).read_bytes() == WEIGHTS[:1000]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.has_ranges = False
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(WEIGHTS[:1000])
    outcome(server, tmp_path, FETCH)
    assert server.ranges("/model.safetensors") == ["bytes=1000-"]
    assert (blobs(tmp_path) / sha256(WEIGHTS)).read_bytes() == WEIGHTS


@pytest.mark.parametrize("kept", [WEIGHTS, WEIGHTS + b"more"])
def test_a_part_as_long_as_the_file_or_longer(server, tmp_path, kept):
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(kept)
    outcome(server, tmp_path, FETCH)
    assert (blobs(tmp_path) / sha256(WEIGHTS)).read_bytes() == WEIGHTS


def test_a_file_that_is_not_the_one_announced_is_deleted(server, tmp_path):
    server.altered = {"model.safetensors"}
    text = outcome(server, tmp_path, FETCH)
    assert text.startswith("ModelUnavailableError: ")
    assert "the model 'tiny' cannot be fetched (DamagedError: the SHA-256 of 'model.safe" in text
    assert f"{sha256(WEIGHTS)[:12]}… was announced; it is deleted): " in text
    assert text.endswith("`matir models fetch tiny` fetches it again")
    assert "incomplete" not in text
    left = list(blobs(tmp_path).iterdir())
    assert all(file.stat().st_size < 1000 for file in left)
    server.altered = set()
    assert outcome(server, tmp_path, FETCH).endswith(COMMIT)


def test_a_file_that_was_damaged_later_is_fetched_again(server, tmp_path):
    outcome(server, tmp_path, FETCH)
    (blobs(tmp_path) / sha256(WEIGHTS)).write_bytes(b"damaged")
    folder = outcome(server, tmp_path, FETCH)
    assert (tmp_path / folder / "model.safetensors").read_bytes() == WEIGHTS


def test_offline_nothing_is_asked(server, tmp_path):
    program = """
    import os
    from matir_nb.offline import VARIABLES
    out = {}
    for name in VARIABLES:
        os.environ[name] = "1"
        out[name] = [said(lambda: hub.find(entry())), said(lambda: hub.fetch(entry()))]
        del os.environ[name]
    """
    for variable, texts in outcome(server, tmp_path, program).items():
        for text in texts:
            assert text.startswith("ModelUnavailableError: the model 'tiny' is not on this machine")
            assert f"{variable}=1 forbids the network" in text
            assert "`matir models fetch tiny`" in text
    assert server.asked == []


def test_offline_a_fetched_model_is_found(server, tmp_path):
    folder = outcome(server, tmp_path, FETCH)
    server.asked.clear()
    program = """
    notes = []
    fetch = lambda: hub.fetch(entry(), say=notes.append)
    out = [said(lambda: hub.find(entry())), said(fetch), notes]
    """
    found, fetched, notes = outcome(server, tmp_path, program, HF_HUB_OFFLINE="1")
    assert found == fetched == folder
    assert notes == [
        "the model 'tiny' is here and was not checked: HF_HUB_OFFLINE=1 forbids the network"
    ]
    assert server.asked == []


def test_a_snapshot_without_weights_counts_as_missing(server, tmp_path):
    part_of_it = """
    from huggingface_hub import hf_hub_download
    hf_hub_download("tests/tiny", "config.json")
    hf_hub_download("tests/tiny", "tokenizer.json")
    out = hub.here(entry())
    """
    assert outcome(server, tmp_path, part_of_it) is None
    assert outcome(server, tmp_path, "out = said(lambda: hub.find(entry()))").endswith(COMMIT)
    assert server.ranges("/model.safetensors") == [""]


def test_files_may_lie_on_another_host_which_never_sees_the_token(server, tmp_path):
    server.elsewhere = True
    signed = {"HF_TOKEN": "hf_secret"}
    assert outcome(server, tmp_path, FETCH, **signed).endswith(COMMIT)
    assert server.ranges("/outside/model.safetensors") == [""]
    assert (blobs(tmp_path) / sha256(WEIGHTS)).read_bytes() == WEIGHTS
    assert "Bearer hf_secret" in server.signed.values()
    assert not any(path.startswith("/outside/") for path in server.signed)


def test_a_full_disk_is_said_before_anything_is_loaded(server, tmp_path):
    program = """
    hub_download.shutil.disk_usage = lambda _: type("Usage", (), {"free": 2_000_000})
    out = said(lambda: hub.fetch(entry()))
    """
    text = outcome(server, tmp_path, program)
    assert "0.00 GB are needed, 0.00 GB are free: free some, or set HF_HOME" in text
    assert server.loaded() == set()


def test_a_repository_without_safe_weights_is_refused(server, tmp_path):
    for name in ("model.safetensors", "pytorch_model.bin"):
        del server.files[name]
    assert "has no weights that can be loaded safely" in outcome(server, tmp_path, FETCH)
    assert server.loaded() == set()


def test_a_hub_that_is_not_there_is_said_at_once(tmp_path):
    hub_is_gone = SimpleNamespace(url="http://127.0.0.1:9")
    text = outcome(hub_is_gone, tmp_path, "out = said(lambda: hub.find(entry()))")
    assert "cannot be fetched (ConnectError: " in text
    assert "`matir models fetch tiny`" in text


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_the_hub_refuses_or_has_no_more_is_said(server, tmp_path, status):
    server.refused = status
    text = outcome(server, tmp_path, FETCH)
    assert "the model 'tiny' cannot be fetched (" in text
    if status == 404:
        advice = "has no commit 'main', or is gone: install a newer matir_nb, or choose another"
    else:
        advice = "is not open to everybody, or is gone: accept the licence on that page, set HF_TO"
    assert f"): {server.url}/tests/tiny {advice}" in text
    assert text.endswith("then `matir models fetch tiny`") == (status != 404)
    assert "network is back" not in text


def test_a_folder_that_cannot_be_written_is_not_the_networks_fault(server, tmp_path):
    blobs(tmp_path).parent.mkdir(parents=True)
    blobs(tmp_path).write_text("a file where a folder must be")
    text = outcome(server, tmp_path, FETCH)
    assert "cannot be fetched (NotADirectoryError: " in text
    assert "when that is mended, `matir models fetch tiny` goes on" in text


def test_shards_are_fetched_with_their_index(server, tmp_path):
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"metadata": {}, "weight_map": dict(zip("ab", names, strict=True))}
    del server.files["model.safetensors"]
    server.files |= {names[0]: b"1" * 10, names[1]: b"2" * 10}
    server.files["model.safetensors.index.json"] = json.dumps(index).encode()
    folder = tmp_path / outcome(server, tmp_path, FETCH)
    assert [file.name for file in weights_in(folder)] == names
    (folder / names[1]).unlink()
    assert not is_complete(folder, reads_text=True)


def test_a_fetched_model_is_loaded_and_known_by_its_weights(server, tmp_path):
    folder = registry.embedded_folder("embedded:sam2")
    server.files = {file.name: file.read_bytes() for file in folder.iterdir()}
    program = """
    from dataclasses import replace
    from matir_nb import catalogue
    from matir_nb.models import registry
    from matir_nb.presets import PRESETS
    name = "sam2.1-hiera-tiny"
    tiny = replace(catalogue.CATALOGUE[name], repo="tests/tiny", revision="main")
    registry.CATALOGUE = {name: tiny}
    preset = replace(PRESETS["embedded"], segmenter=name)
    out = registry.load_segmenter(preset, "cpu").model_id
    """
    digest = sha256(server.files["model.safetensors"])
    assert f"sam2.1-hiera-tiny@{digest[:12]}" in outcome(server, tmp_path, program)
    assert server.loaded() == {"config.json", "model.safetensors"}


# a checkpoint outside the hub

CHECKPOINT = """
import sys, types
from huggingface_hub.constants import ENDPOINT
def convert(checkpoint, clip, out):
    out.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        (out / name).write_bytes((clip / name).read_bytes())
    (out / "model.safetensors").write_bytes(checkpoint.read_bytes())
alpha = types.ModuleType("matir_nb.models.alpha_clip_checkpoint")
alpha.convert = convert
sys.modules[alpha.__name__] = alpha
import matir_nb.models
matir_nb.models.alpha_clip_checkpoint = alpha
said_of_licence = []
def alpha_entry(file="visual.pth"):
    url = f"{ENDPOINT}/outside/{file}"
    return entry(checkpoint=Checkpoint(url, "https://example.org/zoo.md", file))
seen = []
def fetched(file="visual.pth"):
    progress = lambda *numbers: seen.append(numbers)
    return said(lambda: hub.fetch(alpha_entry(file), progress=progress, say=said_of_licence.append))
"""


def released():
    """Return a file with a tensor of `N_BYTES`, as authors publish one."""
    file = io.BytesIO()
    torch.save({"w": torch.arange(N_BYTES // 4, dtype=torch.int32)}, file)
    return file.getvalue()


def converting(file):
    return f"{CHECKPOINT}\nout = said(lambda: hub.convert(alpha_entry(), Path({str(file)!r})))"


def test_a_checkpoint_is_fetched_resumed_and_converted(server, tmp_path):
    data = released()
    server.files["visual.pth"] = data
    kept = tmp_path / "matir" / "models" / "checkpoints" / "visual.pth.incomplete"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(data[:1000])
    program = (
        f"{CHECKPOINT}\nout = [fetched(), said_of_licence, str(hub.find(alpha_entry())), seen]"
    )
    folder, licence, found, seen = outcome(server, tmp_path, program)
    assert folder == found == str(tmp_path / "matir" / "models" / "tiny")
    assert (tmp_path / "matir/models/tiny/model.safetensors").read_bytes() == data
    assert server.ranges("visual.pth") == ["bytes=1000-"]
    assert "research only" in licence[0]
    assert seen[-1] == [6, 6]
    assert all(done <= total for done, total in seen)
    assert list(kept.parent.iterdir()) == []
    record = json.loads((tmp_path / "matir" / "models.json").read_text())["tiny"]
    assert record["sha256"] == {"visual.pth": sha256(data)}
    assert record["commit"] == COMMIT


def test_a_checkpoint_that_cannot_be_loaded_names_its_page_and_the_command(server, tmp_path):
    text = outcome(server, tmp_path, f"{CHECKPOINT}\nout = fetched('gone.pth')")
    assert "'gone.pth' cannot be loaded from http" in text
    assert "404" in text
    assert "from https://example.org/zoo.md" in text
    assert "`matir models convert tiny gone.pth`" in text


def test_a_checkpoint_loaded_by_hand_is_converted(server, tmp_path):
    file = tmp_path / "by hand.pth"
    file.write_bytes(released())
    folder = outcome(server, tmp_path, converting(file))
    assert (tmp_path / folder / "model.safetensors").read_bytes() == file.read_bytes()
    assert file.is_file()
    assert server.ranges("visual.pth") == []


def test_a_page_in_place_of_a_checkpoint_is_deleted_and_refused(server, tmp_path):
    server.files["visual.pth"] = b"<html>sign in</html>"
    text = outcome(server, tmp_path, f"{CHECKPOINT}\nout = fetched()")
    assert "(no checkpoint came); it is deleted. Try again, or load it by hand from" in text
    assert "`matir models convert tiny visual.pth`" in text
    assert list((tmp_path / "matir" / "models" / "checkpoints").iterdir()) == []


def test_a_file_that_is_no_checkpoint_is_refused_before_clip_is_fetched(server, tmp_path):
    file = tmp_path / "saved page.pth"
    file.write_bytes(b"<html>404</html>")
    text = outcome(server, tmp_path, converting(file))
    assert "saved page.pth' is damaged, or no checkpoint" in text
    assert server.asked == []


def test_when_only_clip_is_missing_the_error_names_what_fetches_it(server, tmp_path):
    file = tmp_path / "by hand.pth"
    file.write_bytes(released())
    then = f"then `matir models convert tiny {shlex.quote(str(file))}`"
    text = outcome(server, tmp_path, converting(file), HF_HUB_OFFLINE="1")
    assert text.startswith(
        "ModelUnavailableError: the CLIP of 'tiny', 'tests/tiny', is not on this"
    )
    assert text.endswith(f"fetch with `matir models fetch tiny`, {then}")
    hub_is_gone = SimpleNamespace(url="http://127.0.0.1:9")
    text = outcome(hub_is_gone, tmp_path, converting(file))
    assert text.startswith("ModelUnavailableError: the CLIP of 'tiny', 'tests/tiny', cannot be")
    assert text.endswith(f"`matir models fetch tiny` goes on from there, {then}")


def test_the_clip_of_an_alpha_clip_is_fetched_by_its_own_name_where_it_has_one(tmp_path):
    names = ("alpha-clip-b16", "alpha-clip-l14", "alpha-clip-l14-336")
    wanted = [hub_advice.about_clip(CATALOGUE[name], tmp_path / "x.pth") for name in names]
    assert [one.command for one in wanted] == [
        f"`matir models fetch {name}`" for name in ("clip-b16", "alpha-clip-l14", "clip-l14-336")
    ]


def test_the_real_converter_makes_a_model_that_is_found(tmp_path, monkeypatch):
    from transformers import CLIPConfig, CLIPModel

    from matir_nb.models.alpha_clip_checkpoint import visual_shapes

    monkeypatch.setenv("MATIR_HOME", str(tmp_path))
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1}
    text = {**sizes, "num_attention_heads": 1, "vocab_size": 20, "eos_token_id": 3}
    vision = {**sizes, "num_attention_heads": 1, "image_size": 8, "patch_size": 4}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    clip = tmp_path / "clip"
    CLIPModel(config).save_pretrained(clip)
    (clip / "tokenizer.json").write_text("{}")
    visual = {name: torch.randn(shape) for name, shape in visual_shapes(config).items()}
    torch.save(visual, tmp_path / "visual.pth")
    entry = CATALOGUE["alpha-clip-b16"]
    assert hub.here(entry) is None
    folder = hub_checkpoint.convert(entry.name, tmp_path / "visual.pth", clip)
    assert hub.here(entry) == folder == tmp_path / "models" / "alpha-clip-b16"
    stored = json.loads((folder / "config.json").read_text())
    assert stored["vision_config"]["num_channels"] == 4


# without a server


def broken_import(_name):
    cause = RuntimeError("operator torchvision::nms does not exist")
    raise ModuleNotFoundError("Could not import module 'CLIPModel'") from cause


def test_a_broken_torchvision_is_named_and_other_errors_are_themselves(monkeypatch):
    preset = PRESETS["embedded"]
    monkeypatch.setattr(registry.importlib, "import_module", broken_import)
    with pytest.raises(ModelUnavailableError, match="pip uninstall torchvision"):
        registry.load_encoder(preset, "cpu")

    def another(_name):
        raise ImportError("no module of that name")

    monkeypatch.setattr(registry.importlib, "import_module", another)
    with pytest.raises(ImportError, match="no module of that name"):
        registry.load_encoder(preset, "cpu")


def test_a_page_to_sign_in_is_the_networks_fault():
    about = hub_advice.about_model(CATALOGUE["clip-b16"])
    expected = r"cannot be fetched \(JSONDecodeError: .*\): .*; when the network is back, "
    with pytest.raises(ModelUnavailableError, match=expected), hub_advice.explained(about):
        json.loads("<html>")


def test_files_of_other_formats_and_code_are_never_wanted():
    there = [*SETTINGS, *UNWANTED, "vocab.json", "tokenizer.model", "tokenization_tiny.py"]
    expected = {*SETTINGS, "pytorch_model.bin", "vocab.json", "tokenizer.model"}
    assert wanted(there) == sorted(expected)
    assert wanted([*there, "model.safetensors"]) == sorted(
        {*expected, "model.safetensors"} - {"pytorch_model.bin"}
    )
    shards = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    assert wanted([*shards, "pytorch_model.bin.index.json", "training_args.bin"]) == sorted(
        [*shards, "pytorch_model.bin.index.json"]
    )


def test_a_model_without_a_checkpoint_is_not_converted(tmp_path):
    with pytest.raises(ConfigError, match="'clip-b16' needs no conversion"):
        hub.convert(CATALOGUE["clip-b16"], tmp_path / "x.pth")
    with pytest.raises(ModelUnavailableError, match=r"there is no file .*x\.pth"):
        hub.convert(CATALOGUE["alpha-clip-b16"], tmp_path / "x.pth")


def test_space_is_looked_for_where_a_folder_will_be(tmp_path):
    assert hub_download.free_bytes(tmp_path / "a" / "b") > 0
    hub_download.require_space(tmp_path / "a" / "b", 1, "")
    with pytest.raises(ModelUnavailableError, match=r"1020000000\.00 GB are needed, .*: buy one"):
        hub_download.require_space(tmp_path / "a", 10**18, "buy one")


def test_the_tests_leave_the_users_cache_alone(tmp_path):
    own = environment(SimpleNamespace(url="http://127.0.0.1:9"), tmp_path)
    assert own["HF_HOME"].startswith(str(tmp_path))
    assert own["MATIR_HOME"].startswith(str(tmp_path))


def test_every_entry_of_the_catalogue_is_pinned():
    for entry in CATALOGUE.values():
        assert len(entry.revision) == 40, entry.name
        assert int(entry.revision, 16)
