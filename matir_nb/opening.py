"""Open an index for searching: its preset, its encoder, a judge."""

from pathlib import Path

from matir_nb.config import PRESETS, Preset, preset_from_json, preset_named
from matir_nb.engine import Engine
from matir_nb.index.manifest import Manifest, require_same, require_same_encoder
from matir_nb.index.store import Index
from matir_nb.models.base import Judge, RegionEncoder
from matir_nb.models.registry import load_encoder, load_judge


def open_engine(
    path: str | Path,
    *,
    judge: str | Judge | None = "default",
    preset: str | Preset | None = None,
    device: str = "auto",
    images: str | Path | None = None,
    encoder: RegionEncoder | None = None,
) -> Engine:
    """Open an index for searching.

    Args:
        path: the index folder.
        judge: "default" = the preset's; "structured", "trained", a folder, a judge, or None.
        preset: None = the one that built the index, with this version's options.
        device: "auto", "cpu", "cuda" or "mps".
        images: where the images are now; None = where they were.
        encoder: None = the preset's.

    Raises:
        IndexNotFoundError: there is no index.
        IndexCorruptError: it is damaged.
        IndexMismatchError: other models, or a newer version, made it.
        ModelUnavailableError: weights are missing.
        ConfigError: an option has a value that cannot be used.
    """
    index = Index.open(Path(path), images=None if images is None else Path(images))
    chosen = _preset_for(preset, index.manifest)
    encoder = encoder or load_encoder(chosen, device)
    require_same_encoder(index.manifest, encoder.model_id, encoder.dim)
    name = chosen.judge if judge == "default" else judge
    judge_model = load_judge(name, encoder, device) if isinstance(name, str) else name
    return Engine(index, encoder, preset=chosen, judge=judge_model, device=device)


def _preset_for(preset: str | Preset | None, manifest: Manifest) -> Preset:
    """Return the preset asked for, or the index's own: by name where this version knows it.

    Raises:
        IndexMismatchError: the preset asked for names another segmenter than made the index.
    """
    if preset is None:
        stored = manifest.preset
        return PRESETS.get(str(stored.get("name"))) or preset_from_json(stored)
    chosen = preset_named(preset) if isinstance(preset, str) else preset
    has_own_masks = manifest.made_by.get("masks") is not None
    names = {"segmenter": manifest.preset["segmenter"]} if has_own_masks else {}
    require_same(names, {"segmenter": chosen.segmenter} if has_own_masks else {})
    return chosen
