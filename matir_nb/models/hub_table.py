"""The presets and the catalogue as tables: what each model costs, and whether it is here."""

from typing import TYPE_CHECKING

from matir_nb.catalogue import CATALOGUE, ROLES, ModelEntry
from matir_nb.config import Preset
from matir_nb.models import hub
from matir_nb.models.hub_advice import presets_with
from matir_nb.presets import EXPECTED, MEANT_FOR, PRESETS, models_of

if TYPE_CHECKING:
    import polars as pl

FREE = "part of matir_nb"
"""Stands for the licence of a preset that names no published model."""


def presets_table() -> "pl.DataFrame":
    """Return a row per preset.

    Columns: ``preset``; ``segmenter``, ``encoder``, ``judge``; ``licences``; ``device``: the class
    it is meant for; ``disk_mb``; ``memory_mb``: of the two models that are held at once at most;
    ``cpu_image_s``, ``cpu_query_s``, ``gpu_image_s``, ``gpu_query_s``: seconds, null where they
    were not measured; ``is_here``.
    """
    import polars as pl

    text = dict.fromkeys(("preset", "segmenter", "encoder", "judge", "licences", "device"))
    seconds = [f"{device}_{what}_s" for device in ("cpu", "gpu") for what in ("image", "query")]
    schema = {
        **dict.fromkeys(text, pl.String()),
        **dict.fromkeys(("disk_mb", "memory_mb"), pl.Int64()),
        **dict.fromkeys(seconds, pl.Float64()),
        "is_here": pl.Boolean(),
    }
    rows = [_preset_row(preset) for preset in PRESETS.values()]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _preset_row(preset: Preset) -> tuple[object, ...]:
    entries = models_of(preset)
    seconds = EXPECTED[preset.name]
    return (
        preset.name,
        preset.segmenter,
        preset.encoder,
        preset.judge,
        ", ".join(dict.fromkeys(entry.licence for entry in entries)) or FREE,
        MEANT_FOR[preset.name],
        sum(entry.disk_mb for entry in entries),
        memory_mb(entries),
        seconds["cpu"].image,
        seconds["cpu"].query,
        seconds["gpu"].image,
        seconds["gpu"].query,
        all(hub.here(entry) is not None for entry in entries),
    )


def memory_mb(entries: tuple[ModelEntry, ...]) -> int:
    """Return what indexing or searching needs, megabytes: the encoder beside one of the others."""
    of = {entry.role: entry.memory_mb for entry in entries}
    return of.get("encoder", 0) + max(of.get("segmenter", 0), of.get("judge", 0))


def models_table() -> "pl.DataFrame":
    """Return a row per model of the catalogue, by role.

    Columns: ``model``; ``role``; ``presets``: that name it; ``licence``; ``disk_mb``;
    ``memory_mb``; ``is_here``; ``repo`` and ``revision`` on the hub.
    """
    import polars as pl

    schema: dict[str, pl.DataType] = {
        **dict.fromkeys(("model", "role", "presets", "licence"), pl.String()),
        **dict.fromkeys(("disk_mb", "memory_mb"), pl.Int64()),
        "is_here": pl.Boolean(),
        **dict.fromkeys(("repo", "revision"), pl.String()),
    }
    entries = sorted(CATALOGUE.values(), key=lambda entry: ROLES.index(entry.role))
    return pl.DataFrame([_model_row(entry) for entry in entries], schema=schema, orient="row")


def _model_row(entry: ModelEntry) -> tuple[object, ...]:
    return (
        entry.name,
        entry.role,
        ", ".join(presets_with(entry)),
        entry.licence,
        entry.disk_mb,
        entry.memory_mb,
        hub.here(entry) is not None,
        entry.repo,
        entry.revision,
    )
