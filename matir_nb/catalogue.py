"""The published models that matir can load, as data: their places, costs and licences.

A name of this catalogue stands wherever a model is named: in a preset, after `--judge`. This
module knows no network and no model code: `matir_nb.models.hub` fetches, `matir_nb.models.registry`
loads.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["segmenter", "encoder", "judge"]
ROLES: tuple[Role, ...] = ("segmenter", "encoder", "judge")

RESEARCH_ONLY = (
    "Alpha-CLIP's released weights are for research only (CC BY-NC 4.0): "
    "an index made with them, and what is found in it, must not be used commercially"
)
QWEN_RESEARCH = (
    "Qwen2.5-VL-3B's weights are under the Qwen Research License: "
    "what they judge must not be used commercially"
)
NOTICES: Mapping[str, str] = MappingProxyType(
    {"CC-BY-NC-4.0": RESEARCH_ONLY, "Qwen-Research": QWEN_RESEARCH}
)
"""Licence -> what a reader of scores made under it must know."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file outside the hub that is converted onto the hub's model.

    Attributes:
        url: where it can be downloaded without a browser.
        page: where a person finds it.
        file: its name.
    """

    url: str
    page: str
    file: str


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One published model.

    Attributes:
        name: what the user types.
        role: what it does in the pipeline.
        adapter: module of `matir_nb.models` that loads it.
        repo: its name on the hub.
        licence: SPDX id, or the licence's own name.
        disk_mb: what it takes on the disk once it is here, megabytes.
        memory_mb: peak with one image, megabytes: masks and vectors in fp32 (on a CPU preset int8),
            Qwen judges in bf16, as `benchmarks/models.py` measures it on a CPU.
        revision: the commit that is fetched: 40 hex digits, or "main" where none is pinned.
        checkpoint: converted onto it; None = the hub's files are all.
        options: for the adapter.
    """

    name: str
    role: Role
    adapter: str
    repo: str
    licence: str
    disk_mb: int
    memory_mb: int
    revision: str = "main"
    checkpoint: Checkpoint | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


OPENXLAB = "https://download.openxlab.org.cn/models/SunzeY/AlphaCLIP/weight"


def _sam2(size: str, revision: str, disk_mb: int, memory_mb: int) -> ModelEntry:
    name = f"sam2.1-hiera-{size}"
    licence = "Apache-2.0"
    cost = (disk_mb, memory_mb, revision)
    return ModelEntry(name, "segmenter", "sam2", f"facebook/{name}", licence, *cost)


def _alpha_clip(
    size: str, clip: tuple[str, str], file: str, disk_mb: int, memory_mb: int
) -> ModelEntry:
    page = "https://github.com/SunzeY/AlphaCLIP/blob/main/model-zoo.md"
    licence = "CC-BY-NC-4.0"
    checkpoint = Checkpoint(f"{OPENXLAB}/{file}", page, file)
    repo, revision = clip
    cost = (disk_mb, memory_mb, revision, checkpoint)
    return ModelEntry(f"alpha-clip-{size}", "encoder", "alpha_clip", repo, licence, *cost)


def _dense(
    name: str, weights: tuple[str, str], licence: str, disk_mb: int, memory_mb: int
) -> ModelEntry:
    repo, revision = weights
    cost = (disk_mb, memory_mb, revision)
    return ModelEntry(name, "encoder", "dense_pool", repo, licence, *cost)


def _judge(
    adapter: str, repo: str, revision: str, cost: tuple[int, int], licence: str = "Apache-2.0"
) -> ModelEntry:
    name = repo.partition("/")[2].lower().removesuffix("-instruct")
    return ModelEntry(name, "judge", adapter, repo, licence, *cost, revision)


CLIP_B16 = ("openai/clip-vit-base-patch16", "57c216476eefef5ab752ec549e440a49ae4ae5f3")
CLIP_L14 = ("openai/clip-vit-large-patch14", "32bd64288804d66eefd0ccbe215aa642df71cc41")
CLIP_L14_336 = ("openai/clip-vit-large-patch14-336", "ce19dc912ca5cd21c8a653c79e251e808ccabcd1")
SIGLIP2_B = ("google/siglip2-base-patch16-512", "a89f5c5093f902bf39d3cd4d81d2c09867f0724b")
SIGLIP2_SO = ("google/siglip2-so400m-patch16-512", "ceea1cba8130d8271436da4828633198c176a775")
QWEN3_2B = ("Qwen/Qwen3-VL-2B-Instruct", "89644892e4d85e24eaac8bacfd4f463576704203")
QWEN3_4B = ("Qwen/Qwen3-VL-4B-Instruct", "ebb281ec70b05090aa6165b016eac8ec08e71b17")
QWEN3_8B = ("Qwen/Qwen3-VL-8B-Instruct", "0c351dd01ed87e9c1b53cbc748cba10e6187ff3b")
QWEN25_3B = ("Qwen/Qwen2.5-VL-3B-Instruct", "66285546d2b821cf421d4f5eb2576359d3770cd3")
QWEN25_7B = ("Qwen/Qwen2.5-VL-7B-Instruct", "cc594898137f460bfe9f0759e9844b3ce807cfb5")
RERANKER = ("Qwen/Qwen3-VL-Reranker-2B", "4bd860ac4f15ad1897a214615cccc700f8f71818")
FLORENCE = (
    "florence-community/Florence-2-base-ft",
    "0b03b6f15a4a211370fb204aee4e7dd48887ea37",
)

_ENTRIES = (
    _sam2("tiny", "de431c4043854a71d8101e17995dfe596bf101a5", 156, 1600),
    _sam2("small", "ee5bba1d82bb8749febdf90f45e84b687142ba03", 184, 1700),
    _sam2("base-plus", "b7320756a13354e7530a63935656d35b2f91a290", 324, 3500),
    _sam2("large", "665f8e2ad61cf5f53d65644ff27c8ee525124610", 898, 3900),
    _alpha_clip("b16", CLIP_B16, "clip_b16_grit+mim_fultune_4xe.pth", 1200, 900),
    _alpha_clip("l14", CLIP_L14, "clip_l14_grit+mim_fultune_6xe.pth", 3430, 3200),
    _alpha_clip("l14-336", CLIP_L14_336, "clip_l14_336_grit_20m_4xe.pth", 3430, 3400),
    _dense("clip-b16", CLIP_B16, "MIT", 600, 900),
    _dense("clip-l14-336", CLIP_L14_336, "MIT", 1710, 3200),
    _dense("siglip2-base-512", SIGLIP2_B, "Apache-2.0", 1540, 2200),
    _dense("siglip2-so400m-512", SIGLIP2_SO, "Apache-2.0", 4580, 5200),
    _judge("qwen_vl", *QWEN3_2B, (4270, 6000)),
    _judge("qwen_vl", *QWEN3_4B, (8890, 11000)),
    _judge("qwen_vl", *QWEN3_8B, (17550, 20000)),
    _judge("qwen_vl", *QWEN25_3B, (7530, 9500), "Qwen-Research"),
    _judge("qwen_vl", *QWEN25_7B, (16600, 19000)),
    _judge("qwen_reranker", *RERANKER, (4270, 6000)),
    _judge("florence", *FLORENCE, (470, 1800), "MIT"),
)

CATALOGUE: Mapping[str, ModelEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""Name -> entry."""
JUDGE_MODELS = tuple(entry.name for entry in _ENTRIES if entry.role == "judge")


def licence_notices(model_ids: Iterable[str]) -> tuple[str, ...]:
    """Return what a reader of scores must know of the licences behind them, each once.

    Args:
        model_ids: of the models that made the scores; what is not of the catalogue says nothing.

    >>> licence_notices(["qwen2.5-vl-3b@0123456789ab {}", "clip-b16@0"]) == (QWEN_RESEARCH,)
    True
    """
    names = (model_id.partition("@")[0] for model_id in model_ids)
    licences = (CATALOGUE[name].licence for name in names if name in CATALOGUE)
    return tuple(dict.fromkeys(NOTICES[licence] for licence in licences if licence in NOTICES))
