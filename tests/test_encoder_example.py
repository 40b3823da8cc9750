"""The page on encoders shows the example file, whole, and the example works as the page says."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import OracleMaskSource, scene_gallery
from tiny_encoders import tiny_siglip

import matir_nb
from matir_nb.errors import IndexMismatchError, QueryError
from matir_nb.geometry.masks import encode

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLE = DOCS / "examples" / "siglip_crops.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    import siglip_crops

    yield siglip_crops
    sys.modules.pop("siglip_crops")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_siglip(tmp_path_factory.mktemp("siglip"), processor=True)


def blocks() -> list[str]:
    page = (DOCS / "encoders.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)


def test_the_page_shows_the_file() -> None:
    code = EXAMPLE.read_text(encoding="utf-8")
    assert blocks()[0] == code
    lines = [line.strip() for line in code.splitlines()]
    said = ("import", "from", '"""')
    assert len([line for line in lines if line and not line.startswith(said)]) <= 40


def test_the_page_names_every_member_of_the_protocol() -> None:
    page = (DOCS / "encoders.md").read_text(encoding="utf-8")
    members = [name for name in vars(matir_nb.RegionEncoder) if not name.startswith("_")]
    assert len(members) == 6
    assert [name for name in members if f"| `{name}" not in page] == []


def test_what_the_page_does_with_it_runs(
    example, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the page's own lines, with a tiny model and exact masks in place of downloads."""
    scenes = scene_gallery(tmp_path / "photos", 4)
    build, open_index = matir_nb.build, matir_nb.open

    def build_offline(images, out, *, preset, encoder):
        assert preset == "open-cpu"
        return build(images, out, masks=OracleMaskSource(scenes), encoder=encoder)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matir_nb, "build", build_offline)
    lines = blocks()[1].replace("google/siglip2-base-patch16-224", str(folder))
    assert str(folder) in lines
    names: dict = {}
    exec(compile(lines, "encoders.md", "exec"), names)  # noqa: S102 - our own page
    hits = names["engine"].search("a red circle", k=4).hits
    assert sorted(hit.image_id for hit in hits) == sorted(f"{s.scene_id}.png" for s in scenes)
    assert len({hit.best_region_score for hit in hits}) > 1
    other = example.SiglipCrops(str(folder), revision="another")
    with pytest.raises(IndexMismatchError):
        open_index(tmp_path / "photos.matir", encoder=other)


def test_its_vectors(example, folder: Path) -> None:
    encoder = example.SiglipCrops(str(folder))
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    box, ring = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    box[5:25, 10:50] = ring[5:25, 10:50] = True
    ring[10:20, 20:40] = False
    vectors, none = encoder.embed_regions([image, image], [[encode(box), encode(ring)], []])
    assert none.shape == (0, encoder.dim)
    np.testing.assert_allclose(vectors[0], encoder.embed_images([image[5:25, 10:50]])[0], atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    flat = np.zeros((40, 60), bool)
    flat[7:10, 10:50] = True
    thin = encoder.embed_regions([image], [[encode(flat)]])[0]
    assert thin @ encoder.embed_images([image[7:10, 10:50].repeat(2, axis=0)])[0] > 0.9
    together = encoder.embed_texts(["a small red circle", "A DOG"])
    alone = np.concatenate([encoder.embed_texts([t]) for t in ("a small red circle", "a dog")])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert encoder.log_odds.scale == pytest.approx(np.exp(4), rel=1e-5)
    with pytest.raises(QueryError, match="64 tokens"):
        encoder.embed_texts(["a dog " * 60])
