"""Open an index for searching: its preset, its encoder, a judge."""

from dataclasses import replace
from pathlib import Path

from matir_nb.catalogue import CATALOGUE
from matir_nb.config import Preset, preset_from_json
from matir_nb.engine import Engine
from matir_nb.errors import IndexMismatchError
from matir_nb.index.manifest import Manifest, require_same, require_same_encoder
from matir_nb.index.store import Index
from matir_nb.models.base import Judge, RegionEncoder
from matir_nb.models.hardware import choose_preset
from matir_nb.models.registry import load_encoder, load_judge
from matir_nb.presets import PRESETS, with_true_notice


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
        judge: "default" = the preset's; "structured", "trained", a name of `matir models`, a
            folder, a judge, or None. What is kept of its calibration is used by every search.
        preset: None = the one that built the index: its models, with this version's options.
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
    chosen = _preset_for(preset, index.manifest, device)
    chosen = with_true_notice(chosen, None if encoder is None else encoder.model_id)
    if encoder is None:
        _require_named(chosen.encoder, index.manifest)
        encoder = load_encoder(chosen, device)
    require_same_encoder(index.manifest, encoder.model_id, encoder.dim)
    name = chosen.judge if judge == "default" else judge
    if isinstance(name, str):
        name = load_judge(name, encoder, device, chosen.compute)
    return Engine(index, encoder, preset=chosen, judge=name, device=device)


def _require_named(place: str, manifest: Manifest) -> None:
    """Raise, before anything is fetched, where a model of the catalogue is not the index's.

    Raises:
        IndexMismatchError: another encoder made the index, perhaps the user's own.
    """
    made_by = str(manifest.made_by["encoder"])
    if place in CATALOGUE and made_by.partition("@")[0] != place:
        message = (
            f"the index was made by the encoder {made_by!r}, and not by {place!r}: "
            "open it with that one, in Python matir_nb.open(..., encoder=...)"
        )
        raise IndexMismatchError(message)


def _preset_for(preset: str | Preset | None, manifest: Manifest, device: str) -> Preset:
    """Return the preset asked for, or the index's own.

    The index's own models and view are kept; the other options are those that this version gives
    the preset of that name, where it knows one.

    Raises:
        IndexMismatchError: the preset asked for names another segmenter than made the index.
    """
    if preset is None:
        stored = preset_from_json(manifest.preset)
        newest = PRESETS.get(stored.name, stored)
        return replace(
            newest,
            segmenter=stored.segmenter,
            encoder=stored.encoder,
            judge=stored.judge,
            encoding=stored.encoding,
        )
    chosen, _ = choose_preset(preset, device)
    has_own_masks = manifest.made_by.get("masks") is not None
    names = {"segmenter": manifest.preset["segmenter"]} if has_own_masks else {}
    require_same(names, {"segmenter": chosen.segmenter} if has_own_masks else {})
    return chosen
