"""A gallery of generated scenes as picture files, and its index. Knows no query."""

import io
import shutil
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from matir_nb.errors import ConfigError, IndexMismatchError
from matir_nb.index.build import BuildReport, build
from matir_nb.scenes.draw import Scene, draw_scene
from matir_nb.scenes.vocabulary import Split


def write_gallery(folder: Path, n_scenes: int, *, split: Split, seed: int = 0) -> list[Scene]:
    """Return the first `n_scenes` scenes of a split, written as ``<scene_id>.png``.

    Files that hold the right picture already are left alone, so an index of them stays valid.

    Raises:
        ConfigError: `n_scenes` < 1, or the folder holds other files.
    """
    if n_scenes < 1:
        message = f"n_scenes = {n_scenes} is not allowed: give a whole number >= 1"
        raise ConfigError(message)
    folder.mkdir(parents=True, exist_ok=True)
    indices = tqdm(range(n_scenes), desc="scenes", unit="image", delay=1, disable=None)
    scenes = [draw_scene(split, index, seed=seed) for index in indices]
    strangers = {path.name for path in folder.iterdir()} - {file_name(s) for s in scenes}
    if strangers:
        message = f"{str(folder)!r} holds other files ({min(strangers)!r}): give another folder"
        raise ConfigError(message)
    for scene in scenes:
        _write(folder / file_name(scene), scene)
    return scenes


def index_gallery(
    images: Path, path: Path, *, preset: str = "embedded", device: str = "auto"
) -> BuildReport:
    """Index a generated gallery; an index that other models made is thrown away first.

    Only for galleries of `write_gallery`, whose index can always be made again.
    """
    try:
        return build(images, path, preset=preset, device=device)
    except IndexMismatchError:
        shutil.rmtree(path)
        return build(images, path, preset=preset, device=device)


def file_name(scene: Scene) -> str:
    """Return the scene's file name, which is also its image id."""
    return f"{scene.scene_id}.png"


def _write(path: Path, scene: Scene) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene.image).save(buffer, "PNG", compress_level=1)
    if not path.is_file() or path.read_bytes() != buffer.getvalue():
        path.write_bytes(buffer.getvalue())
