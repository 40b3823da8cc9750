"""Names become models: presets, names of the catalogue, folders, judges.

A place is "embedded:NAME", a name of `matir_nb.catalogue`, or a folder that `save_pretrained`
wrote. Adapters are imported when one is asked for, so that whoever needs none pays for none. This
module knows no pixels and no scores.
"""

import importlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matir_nb.catalogue import CATALOGUE, JUDGE_MODELS, Role
from matir_nb.config import ComputeConfig, Preset
from matir_nb.errors import ConfigError, ModelUnavailableError, nearest, unknown
from matir_nb.models.base import Judge, MaskSource, RegionEncoder
from matir_nb.models.folder_options import named_adapter

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
EMBEDDED = "embedded:"
TRAINED_JUDGE = "embedded:judge"
JUDGE_NAMES = ("structured", "trained", "none", *JUDGE_MODELS)
PROMPTS = ("box", "marks", "listed")
"""How a judge model is asked, after its name: "qwen3-vl-4b:marks"."""
NEEDED_PACKAGES = ("torch", "transformers")
TORCHVISION = (
    "transformers cannot load models beside the torchvision that is installed, which does not "
    "match torch: pip uninstall torchvision (matir does not use it), or install the build that "
    "matches; `matir doctor` says more"
)
ADAPTERS: dict[str, tuple[Role, str]] = {
    "sam2": ("segmenter", "Sam2MaskSource"),
    "alpha_clip": ("encoder", "AlphaClipEncoder"),
    "dense_pool": ("encoder", "DensePoolEncoder"),
    "qwen_vl": ("judge", "QwenVLJudge"),
    "qwen_reranker": ("judge", "QwenReranker"),
    "florence": ("judge", "FlorenceJudge"),
}
"""Module of `matir_nb.models` -> what its class does in the pipeline, and its name."""
SCORES_ONLY = ("qwen_reranker",)
"""Adapters of judges that are asked in one way alone, and name no place."""
MODEL_TYPES = {
    "sam2": "sam2",
    "sam2_video": "sam2",
    "clip": "dense_pool",
    "siglip": "dense_pool",
    "siglip2": "dense_pool",
    "qwen2_5_vl": "qwen_vl",
    "qwen3_vl": "qwen_vl",
    "florence2": "florence",
}
"""``model_type`` of a folder's config.json -> adapter; CLIP with an alpha channel is Alpha-CLIP."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's files, and what loads them.

    Attributes:
        folder: with config.json and the weights.
        name: what the model is called in ids.
        adapter: a key of `ADAPTERS`.
        options: for the adapter.
    """

    folder: Path
    name: str
    adapter: str
    options: Mapping[str, Any] = field(default_factory=dict)


def load_segmenter(preset: Preset, device: str = "auto") -> MaskSource:
    """Return the preset's mask source.

    Raises:
        ModelUnavailableError: its weights or a package are missing.
        ConfigError: no such device, or the preset names no segmenter.
    """
    weights = find_weights(preset.segmenter, "segmenter")
    source: MaskSource = _load(weights, device, preset.compute, config=preset.masks)
    return source


def load_encoder(preset: Preset, device: str = "auto") -> RegionEncoder:
    """Return the preset's region encoder.

    Raises:
        ModelUnavailableError: its weights or a package are missing.
        ConfigError: no such device, or the preset names no encoder, or a view that it has not.
    """
    _require_view(preset)
    weights = find_weights(preset.encoder, "encoder")
    arguments = {"options": weights.options, "encoding": preset.encoding}
    encoder: RegionEncoder = _load(weights, device, preset.compute, **arguments)
    return encoder


def _require_view(preset: Preset) -> None:
    """Raise, before anything is fetched, unless a published encoder has the preset's view.

    Raises:
        ConfigError: it has not.
    """
    entry = CATALOGUE.get(preset.encoder)
    if preset.encoding.view == "own" or entry is None or entry.adapter != "dense_pool":
        return
    require_packages()
    with _named_cause():
        from matir_nb.models.dense_pool import require_view
    require_view(preset.encoding)


def load_judge(
    name: str,
    encoder: RegionEncoder,
    device: str = "auto",
    compute: ComputeConfig | None = None,
) -> Judge | None:
    """Return the judge called `name`; None for "none".

    Args:
        name: "structured", "trained", "none", a judge of the catalogue, "embedded:NAME" or a
            folder with a judge model; the latter may end in ":box", ":marks" or ":listed".
        encoder: the index's encoder, for judges that compare words with stored vectors.
        device: "auto", "cpu", "cuda" or "mps".
        compute: None = the defaults.

    Raises:
        ConfigError: no such judge; the message offers the nearest name. Or it is asked in one
            way alone, and a way is named.
        ModelUnavailableError: its weights or a package are missing.
    """
    if name == "none":
        return None
    if name == "structured":
        from matir_nb.models.structured import StructuredJudge

        return StructuredJudge(encoder)
    place, prompt = split_prompt(TRAINED_JUDGE if name == "trained" else name)
    _require_judge(place, name)
    if prompt:
        _require_ways(place, prompt)
    weights = find_weights(place, "judge")
    options = {**weights.options, **({"prompt": prompt} if prompt else {})}
    judge: Judge = _load(weights, device, compute or ComputeConfig(), options=options)
    return judge


def _require_judge(place: str, name: str) -> None:
    """Raise unless the place in a name can be a judge's; an unknown way of asking is named."""
    known, _, prompt = place.rpartition(":")
    if _is_place(known) and not Path(place).is_dir():
        message = f"{unknown('way of asking', prompt, PROMPTS)} (behind {known!r})"
        raise ConfigError(message)
    if not _is_place(place):
        raise ConfigError(unknown("judge", name, JUDGE_NAMES))


def _require_ways(place: str, prompt: str) -> None:
    """Raise, before anything is fetched, where a judge cannot be asked in several ways.

    Raises:
        ConfigError: it gives a score only.
    """
    folder = _local(place)
    if place in CATALOGUE:
        adapter = CATALOGUE[place].adapter
    else:
        adapter = _adapter_of(folder) if (folder / "config.json").is_file() else ""
    if adapter in SCORES_ONLY:
        message = f"the judge {place!r} gives a score only: leave out {f':{prompt}'!r}"
        raise ConfigError(message)


def _is_place(name: str) -> bool:
    is_named = name.startswith(EMBEDDED) or name in CATALOGUE
    return is_named or (name != "" and Path(name).is_dir())


def split_prompt(name: str) -> tuple[str, str]:
    """Return a judge's place, and how it is asked; "" = as its options say.

    >>> split_prompt("qwen3-vl-4b:marks"), split_prompt("embedded:judge")
    (('qwen3-vl-4b', 'marks'), ('embedded:judge', ''))
    """
    place, _, prompt = name.rpartition(":")
    return (place, prompt) if place and prompt in PROMPTS else (name, "")


def find_weights(place: str, role: Role) -> Weights:
    """Return the files of the model at `place`; those of the catalogue are fetched when missing.

    Raises:
        ModelUnavailableError: there is no such folder, it holds no model, or a model of the
            catalogue is missing and cannot be fetched.
        ConfigError: the model does not do what `role` says.
    """
    if place in CATALOGUE:
        entry = CATALOGUE[place]
        _require_role(place, entry.adapter, role)
        from matir_nb.models.hub import find

        return Weights(find(entry), entry.name, entry.adapter, entry.options)
    folder = _local(place)
    if not (folder / "config.json").is_file():
        raise ModelUnavailableError(_no_weights(place, role))
    adapter = _adapter_of(folder)
    _require_role(place, adapter, role)
    return Weights(folder, folder.name, adapter)


def embedded_folder(place: str) -> Path:
    """Return the folder of "embedded:NAME"."""
    return WEIGHTS / place.removeprefix(EMBEDDED)


def _local(place: str) -> Path:
    return embedded_folder(place) if place.startswith(EMBEDDED) else Path(place)


def _no_weights(place: str, role: Role) -> str:
    if place.startswith(EMBEDDED):
        there = sorted(p.parent.name for p in WEIGHTS.glob("*/config.json"))
        hint = f"this installation has {', '.join(there) or 'no embedded models'}"
    else:
        names = [name for name, entry in CATALOGUE.items() if entry.role == role]
        near = nearest(place, names)
        hint = f"give a folder with config.json and weights, or a name of `matir models`: {near}"
    return f"no model weights at {place!r}: {hint}"


def _adapter_of(folder: Path) -> str:
    """Return what loads the model in a folder: as its matir.json says, else by its kind.

    Raises:
        ModelUnavailableError: it is of a kind that nothing here loads.
    """
    named = named_adapter(folder)
    if named in ADAPTERS:
        return named
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config["model_type"])
        vision = config.get("vision_config") or {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"{str(folder / 'config.json')!r} does not say which model it is: {error}"
        raise ModelUnavailableError(message) from error
    if kind == "clip" and vision.get("num_channels") == 4:
        return "alpha_clip"
    if kind not in MODEL_TYPES:
        message = f"the model in {str(folder)!r} is {kind!r}: {nearest(kind, MODEL_TYPES)}"
        raise ModelUnavailableError(message)
    return MODEL_TYPES[kind]


def _require_role(place: str, adapter: str, role: Role) -> None:
    own = ADAPTERS[adapter][0]
    if own != role:
        message = f"{place!r} is a model for another stage: {role} is wanted, and it is {own}"
        raise ConfigError(message)


def _load(weights: Weights, device: str, compute: ComputeConfig, **arguments: Any) -> Any:
    """Return the adapter around a model: imported, loaded, on its device."""
    require_packages()
    from matir_nb.models.runtime import choose_runtime

    runtime = choose_runtime(device, compute)
    with _named_cause():
        module = importlib.import_module(f"matir_nb.models.{weights.adapter}")
        adapter = getattr(module, ADAPTERS[weights.adapter][1])
        with _quiet_loading():
            return adapter.from_pretrained(
                weights.folder, name=weights.name, runtime=runtime, **arguments
            )


@contextmanager
def _named_cause() -> Iterator[None]:
    """Name a broken torchvision, which keeps transformers from importing its models.

    Raises:
        ModelUnavailableError: it is the cause of an error within the context.
    """
    try:
        yield
    except (ImportError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None and "torchvision" not in str(cause):
            cause = cause.__cause__ or cause.__context__
        if cause is None or isinstance(error, ModelUnavailableError):
            raise
        raise ModelUnavailableError(TORCHVISION) from error


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Keep transformers from drawing a bar per file: in a notebook each would stay as a widget.

    And from warning: what it says of SigLIP's files as they are published alarms without a cause,
    and of what must not be, tensors that are missing, the adapters make errors.
    """
    from transformers.utils import logging

    was_enabled, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if was_enabled:
            logging.enable_progress_bar()


def require_packages() -> None:
    """Raise unless the packages that models need are here.

    Raises:
        ModelUnavailableError: one is missing.
    """
    for package in NEEDED_PACKAGES:
        if importlib.util.find_spec(package) is None:
            message = f"this model needs the package {package}: pip install {package}"
            raise ModelUnavailableError(message)
