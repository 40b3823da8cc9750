"""Where a run comes from, enough to do it again: plain JSON values."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from matir_nb.catalogue import licence_notices
from matir_nb.engine import Engine
from matir_nb.evaluation.runs.arms import Arm, arm_of_default
from matir_nb.evaluation.runs.asking import Gallery
from matir_nb.evaluation.runs.folder import VERSION
from matir_nb.evaluation.runs.measures import DEEPEST
from matir_nb.evaluation.runs.parts import dataset_digest
from matir_nb.presets import EMBEDDED_NOTICE
from matir_nb.version import installed_versions

EMBEDDED = "embedded"
ORACLE_NOTICE = "oracle: made from the annotations, not a model"
N_NAMED = 20
"""Missing images that are named; all are counted."""


def provenance_of(  # noqa: PLR0913 - one argument per fact
    engine: Engine,
    gallery: Gallery,
    arms: Sequence[Arm],
    *,
    known_by: Mapping[str, str],
    unavailable: Mapping[str, str],
    unread: Mapping[str, Sequence[str]],
    seed: int,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Return what is kept in ``run.json``.

    Args:
        engine: that was asked.
        gallery: the dataset in its index.
        arms: all that were wanted.
        known_by: arm -> fingerprint of all that decides its rows.
        unavailable: arm -> why it has no rows.
        unread: arm -> ids of the queries that it could not be asked.
        seed: of queries and bootstrap.
        seconds: what took how long.
    """
    models = _models(engine, arms, unavailable)
    return {
        "version_of_run": VERSION,
        "dataset": _dataset(gallery),
        "arms": {arm.name: _arm(engine, arm) for arm in arms},
        "fingerprints": dict(known_by),
        "unavailable": dict(unavailable),
        "unread": {arm: list(ids) for arm, ids in unread.items()},
        "default_is": arm_of_default(engine.preset.judge),
        "index": _index(engine, gallery),
        "models": models,
        "preset": asdict(engine.preset),
        "seed": seed,
        "notices": [
            *_notices(engine, models, gallery),
            *_idle(engine, arms),
            *_limits(gallery, unread),
        ],
        "versions": installed_versions(),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
    }


def _dataset(gallery: Gallery) -> dict[str, Any]:
    dataset = gallery.dataset
    return {
        "name": dataset.name,
        "source": asdict(dataset.source),
        "protocol": dict(dataset.protocol),
        "headline": list(dataset.headline),
        "depth": dataset.depth,
        "n_queries": len(dataset.queries),
        "n_images": len(dataset.image_ids),
        "digest": dataset_digest(dataset),
    }


def _index(engine: Engine, gallery: Gallery) -> dict[str, Any]:
    index, missing = engine.index, gallery.missing
    skipped = dict(index.manifest.skipped)
    wanted = set(gallery.dataset.image_ids)
    return {
        "path": str(index.path),
        "fingerprint": index.fingerprint,
        "n_images": index.n_images,
        "n_regions": index.n_regions,
        "n_missing": len(missing),
        "missing": missing[:N_NAMED],
        "skipped": {name: why for name, why in skipped.items() if name in wanted},
    }


def _arm(engine: Engine, arm: Arm) -> dict[str, Any]:
    options = arm.preset_of(engine.preset).judging
    n_judged = options.n_judged if arm.n_judged is None else arm.n_judged
    n_judged = 0 if arm.judge is False else n_judged
    return {"judge": arm.judge, "options": dict(arm.options), "n_judged": n_judged}


def _models(engine: Engine, arms: Sequence[Arm], unavailable: Mapping[str, str]) -> dict[str, Any]:
    """Return role -> model id and revision; judges by arm."""
    judges: dict[str, str] = {}
    for arm in arms:
        if arm.judge is not False and arm.name not in unavailable and (arm.judge or engine.judge):
            choice = arm.judge if isinstance(arm.judge, str) else None
            judges[arm.name] = arm.engine_of(engine).judge_for(choice).model_id
    segmenter = str(engine.index.manifest.made_by["segmenter"])
    return {"segmenter": segmenter, "encoder": engine.encoder.model_id, "judges": judges}


def _idle(engine: Engine, arms: Sequence[Arm]) -> list[str]:
    """Return what says that a judge was not asked."""
    judging = [arm for arm in arms if arm.judge is not False and (arm.judge or engine.judge)]
    why = "judges no candidate (n_judged = 0), so it answers as stage 1 does"
    return [f"{arm.name} {why}" for arm in judging if not _arm(engine, arm)["n_judged"]]


def _limits(gallery: Gallery, unread: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what says how deep the lists are, and which queries have none."""
    depth, n_images = gallery.dataset.depth, len(gallery.dataset.image_ids)
    told = []
    if depth is not None and depth < min(DEEPEST, n_images):
        told.append(f"only {depth} hits of a query are recorded: metrics of more are left out")
    if gallery.misfits:
        told.append(
            f"true masks of another size than their picture are left out, in "
            f"{len(gallery.misfits)} of the images: {_named(gallery.misfits)}"
        )
    for arm, ids in unread.items():
        what = "1 query is" if len(ids) == 1 else f"{len(ids)} queries are"
        why = f"empty or longer than the models of {arm} read, and found nothing"
        told.append(f"{what} {why}: {_named(ids)}")
    return told


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _notices(engine: Engine, models: Mapping[str, Any], gallery: Gallery) -> list[str]:
    """Return what a reader of the numbers must know."""
    ids = [models["segmenter"], models["encoder"], *models["judges"].values()]
    oracle = ORACLE_NOTICE if any(name.startswith("oracle:") for name in ids) else ""
    n = len(gallery.missing)
    gone = f"{n} images of the dataset are not in the index, and count as not found"
    if n == 1:
        gone = "1 image of the dataset is not in the index, and counts as not found"
    embedded = EMBEDDED_NOTICE if any(name.startswith(EMBEDDED) for name in ids) else ""
    told = (engine.preset.notice, embedded, oracle, *licence_notices(ids), gone if n else "")
    return [notice for notice in dict.fromkeys(told) if notice]
