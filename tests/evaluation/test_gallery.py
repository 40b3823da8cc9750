import numpy as np
import pytest
from fakes import OracleEncoder, OracleMaskSource
from PIL import Image

from matir_nb.errors import ConfigError
from matir_nb.evaluation.gallery import index_gallery, write_gallery
from matir_nb.index.store import Index


def test_the_files_hold_the_very_pixels_of_the_scenes(tmp_path):
    scenes = write_gallery(tmp_path / "a", 3, split="test", seed=5)
    assert sorted(p.stem for p in (tmp_path / "a").iterdir()) == [s.scene_id for s in scenes]
    for scene in scenes:
        with Image.open(tmp_path / "a" / f"{scene.scene_id}.png") as image:
            assert (np.asarray(image) == scene.image).all()


def test_a_second_run_leaves_good_files_alone_and_mends_a_broken_one(tmp_path):
    write_gallery(tmp_path, 3, split="test")
    first, second, _ = sorted(tmp_path.iterdir())
    whole, before = second.read_bytes(), first.stat().st_mtime_ns
    second.write_bytes(whole[:100])
    write_gallery(tmp_path, 3, split="test")
    assert second.read_bytes() == whole
    assert first.stat().st_mtime_ns == before


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"other files \('holiday.jpg'\)"):
        write_gallery(tmp_path, 2, split="test")
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]
    with pytest.raises(ConfigError, match="n_scenes = 0"):
        write_gallery(tmp_path, 0, split="test")


def test_an_index_of_other_models_is_made_again(tmp_path, monkeypatch):
    scenes = write_gallery(tmp_path / "images", 2, split="test")
    monkeypatch.setattr("matir_nb.index.build.load_segmenter", lambda *_: OracleMaskSource(scenes))
    for name in ("old", "new"):
        encoder = OracleEncoder(scenes, model_id=name)
        monkeypatch.setattr("matir_nb.index.build.load_encoder", lambda *_, e=encoder: e)
        report = index_gallery(tmp_path / "images", tmp_path / "i.matir")
        assert report.n_images == 2
        assert Index.open(tmp_path / "i.matir").manifest.made_by["encoder"] == name
