"""Which files of a published model are needed, and whether a folder has them all.

Weights are untrusted input: no code is ever among these files. Knows names, and no network.
"""

import json
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

CONFIG = "config.json"
SETTINGS = (
    CONFIG,
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer*.json",
    "tokenizer*.model",
    "sentencepiece*.model",
    "spiece.model",
    "vocab*.json",
    "vocab*.txt",
    "merges*.txt",
    "chat_template*.json",
    "chat_template*.jinja",
)
"""Patterns of what describes a model, its words and its pictures."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")
INDEX_ENDING = ".index.json"
WEIGHTS = (
    ("model.safetensors", "model-*-of-*.safetensors"),
    ("pytorch_model.bin", "pytorch_model-*-of-*.bin"),
)
"""(the only file, the files where there are several) in the order of preference."""


def wanted(names: Iterable[str]) -> list[str]:
    """Return those of a repository's files that are fetched, sorted.

    Files in subfolders are other formats or other models and never wanted.

    >>> wanted(["config.json", "model.py", "model.safetensors", "pytorch_model.bin", "onnx/a.json"])
    ['config.json', 'model.safetensors']
    """
    top = [name for name in names if "/" not in name]
    settings = [name for name in top if any(fnmatchcase(name, pattern) for pattern in SETTINGS)]
    return sorted({*settings, *_weights(top)})


def _weights(names: Collection[str]) -> list[str]:
    for single, shards in WEIGHTS:
        if single in names:
            return [single]
        if single + INDEX_ENDING in names:
            found = [name for name in names if fnmatchcase(name, shards)]
            return [single + INDEX_ENDING, *found]
    return []


def is_complete(folder: Path, *, reads_text: bool) -> bool:
    """Tell whether a folder has a model's config, all its weights and, for text, a tokenizer."""
    if not (folder / CONFIG).is_file() or not weights_in(folder):
        return False
    return not reads_text or any((folder / name).is_file() for name in TOKENIZERS)


def weights_in(folder: Path) -> list[Path]:
    """Return the files that hold a model's weights; empty where one of them is missing."""
    for single, _ in WEIGHTS:
        if (folder / single).is_file():
            return [folder / single]
        index = folder / (single + INDEX_ENDING)
        if index.is_file():
            files = [folder / name for name in _shards(index)]
            return files if files and all(file.is_file() for file in files) else []
    return []


def _shards(index: Path) -> list[str]:
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return sorted({Path(name).name for name in named})
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
