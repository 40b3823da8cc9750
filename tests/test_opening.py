"""What an index is opened with: the models that it was built for, and what must be said of them."""

from dataclasses import replace

import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, scene_gallery

import matir_nb
from matir_nb.catalogue import CATALOGUE, NOTICES, QWEN_RESEARCH, RESEARCH_ONLY
from matir_nb.config import EncodeConfig, JudgeConfig
from matir_nb.errors import IndexMismatchError
from matir_nb.index.manifest import read_manifest, write_manifest
from matir_nb.presets import EMBEDDED_NOTICE, PRESETS

EMBEDDED = PRESETS["embedded"].encoder
OWN = replace(
    PRESETS["open"],
    segmenter="/own/sam",
    encoder="/own/encoder",
    judge="/own/judge:marks",
    encoding=EncodeConfig("whole"),
    judging=JudgeConfig(n_judged=3),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Scenes, and an index of them that was built for models of the user's own."""
    folder = tmp_path_factory.mktemp("own")
    scenes = scene_gallery(folder / "scenes", 4)
    masks, encoder = OracleMaskSource(scenes), OracleEncoder(scenes)
    matir_nb.build(folder / "scenes", folder / "i.matir", preset=OWN, masks=masks, encoder=encoder)
    return scenes, folder / "i.matir"


def test_the_models_of_the_index_are_kept_with_this_versions_options(made, monkeypatch):
    scenes, path = made
    asked = []
    monkeypatch.setattr("matir_nb.opening.load_judge", lambda name, *_: asked.append(name))
    preset = matir_nb.open(path, encoder=OracleEncoder(scenes)).preset
    assert asked == ["/own/judge:marks"]
    places = (preset.segmenter, preset.encoder, preset.judge)
    assert places == ("/own/sam", "/own/encoder", "/own/judge:marks")
    assert preset.encoding == EncodeConfig("whole")
    assert preset.judging == PRESETS["open"].judging


def test_an_index_from_before_views_and_precisions_opens(made):
    scenes, path = made
    manifest = read_manifest(path)
    newer = ("encoding", "compute")
    preset = {name: value for name, value in manifest.preset.items() if name not in newer}
    write_manifest(path, replace(manifest, preset=preset))
    try:
        engine = matir_nb.open(path, encoder=OracleEncoder(scenes), judge=None)
    finally:
        write_manifest(path, manifest)
    assert engine.preset.encoding == EncodeConfig()
    assert engine.preset.compute == PRESETS["open"].compute


def test_an_encoder_of_the_users_own_is_asked_for_before_anything_is_fetched(tmp_path, monkeypatch):
    engine_of(tmp_path, "open", "mine@0 {}", None)
    monkeypatch.setattr("matir_nb.opening.load_encoder", lambda *_: pytest.fail("it is loaded"))
    message = r"encoder 'mine@0 \{\}', and not by 'siglip2-so400m-512': open it .*encoder=\.\.\."
    with pytest.raises(IndexMismatchError, match=message):
        matir_nb.open(tmp_path / "i.matir")


@pytest.mark.parametrize(
    ("encoder", "judge", "told"),
    [
        ("alpha-clip-b16@0 {}", "qwen3-vl-4b@0 {}", {RESEARCH_ONLY}),
        ("clip-b16@0 {}", "qwen2.5-vl-3b@0 {}", {QWEN_RESEARCH}),
        ("alpha-clip-l14@0 {}", "qwen2.5-vl-3b@0 {}", {RESEARCH_ONLY, QWEN_RESEARCH}),
        ("siglip2-base-512@0 {}", "florence-2-base-ft@0 {}", set()),
    ],
)
def test_a_result_tells_the_licences_of_its_models_whatever_the_preset(
    tmp_path, encoder, judge, told
):
    engine = engine_of(tmp_path, "open", encoder, OracleJudge(model_id=judge))
    said = engine.search("red circle", k=2).provenance.notices
    assert {notice for notice in said if notice in NOTICES.values()} == told
    alone = engine.search("red circle", k=2, judge=False).provenance.notices
    assert {notice for notice in alone if notice in NOTICES.values()} == told - {QWEN_RESEARCH}


@pytest.mark.parametrize(
    ("preset", "encoder", "told"),
    [
        (PRESETS["embedded"], "alpha-clip@0 {}", {EMBEDDED_NOTICE}),
        (PRESETS["embedded"], "mine@0 {}", set()),
        (replace(PRESETS["open"], encoder=EMBEDDED), "alpha-clip@0 {}", {EMBEDDED_NOTICE}),
        (replace(PRESETS["embedded"], encoder="/my/alpha-clip"), "alpha-clip@0 {}", set()),
        (replace(OWN, name="my", notice="own", judge="none"), "mine@0 {}", {"own"}),
        (replace(PRESETS["paper"], encoder="/mine"), "mine@0 {}", set()),
    ],
)
def test_the_notice_of_the_embedded_models_goes_with_their_encoder(tmp_path, preset, encoder, told):
    engine = engine_of(tmp_path, preset, encoder, None)
    said = engine.search("red circle", k=2).provenance.notices
    known = {EMBEDDED_NOTICE, "own", *NOTICES.values()}
    assert {notice for notice in said if notice in known} == told
    assert {engine.index.manifest.preset["notice"], ""} == {*told, ""}


def test_no_notice_is_told_twice(tmp_path):
    engine = engine_of(tmp_path, "paper", "alpha-clip-l14-336@0 {}", None)
    assert engine.search("red circle", k=2).provenance.notices.count(RESEARCH_ONLY) == 1


def engine_of(folder, preset, encoder_id, judge):
    """Return an engine on two scenes, with an encoder of that model id."""
    scenes = scene_gallery(folder / "scenes", 2)
    masks, encoder = OracleMaskSource(scenes), OracleEncoder(scenes, model_id=encoder_id)
    path = folder / "i.matir"
    matir_nb.build(folder / "scenes", path, preset=preset, masks=masks, encoder=encoder)
    return matir_nb.open(path, encoder=encoder, judge=judge)


def test_every_licence_that_forbids_something_has_a_notice():
    licences = {entry.licence for entry in CATALOGUE.values()}
    assert licences - NOTICES.keys() == {"Apache-2.0", "MIT"}
    assert NOTICES.keys() <= licences
