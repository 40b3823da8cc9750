"""Flip bytes of a small index, one at a time, and see what it says: the child of `test_corruption`.

It is forked, so that a crash of the process is seen as one; its last report says where.
"""

import os
from pathlib import Path

import polars as pl
from crash_scenario import BATCH, STAGES, Stage, answers, content, go_on, open_writer
from crash_server import report

from matir_nb.errors import IndexCorruptError, IndexMismatchError
from matir_nb.index import certified, store
from matir_nb.index.columns import add_columns, read_columns
from matir_nb.index.manifest import BACKUP_NAME, MANIFEST_NAME, SEGMENTS
from matir_nb.index.store import Index
from matir_nb.index.verify import verify

MASKS = (0x01, 0x80, 0xFF, 0x10)
"""Bits that are flipped, in turn."""


def make(path, root):
    """Write an index of two segments, with a dropped image, and columns."""
    path, root = Path(path), Path(root)
    go_on(path, root, Stage(STAGES[0].pictures[: 2 * BATCH], is_finished=False))
    with open_writer(path, root) as writer:
        writer.drop(["1.png"])
    index = Index.open(path)
    ids = index.image_ids
    add_columns(path, pl.DataFrame({"image_id": ids, "stars": range(len(ids))}), ids)


def says(path):
    """Return all that the index says."""
    index = Index.open(path)
    facts = index.facts_table().rows()
    columns = read_columns(path).rows()
    return content(index), answers(index, k=2), facts, columns


def flip(path, n_per_file, is_checked):
    """Flip bytes of every file in turn and report each finding that must not be.

    Args:
        path: the index.
        n_per_file: positions; a smaller file has all of its bytes flipped.
        is_checked: "1" = as it is; "0" = as if the files were too large to be checked when the
            index is opened, and searched by their codes: then answers may be wrong until
            `verify`, but nothing may happen but answers and our errors.
    """
    path = Path(path)
    if is_checked == "0":
        store.CHECKED_BYTES = certified.FEW_NUMBERS = -1
    expected, n_found, n_flips = says(path), 0, 0
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        name, sound = str(file.relative_to(path)), file.read_bytes()
        n = min(int(n_per_file), len(sound))
        for place in range(n):
            at = place * len(sound) // n
            report("at", name, at)
            put(file, sound, at, MASKS[place % len(MASKS)])
            wrong, was_found = verdict(path, name, expected, is_checked == "1")
            n_found, n_flips = n_found + was_found, n_flips + 1
            if wrong:
                report("wrong", name, at, wrong)
        file.write_bytes(sound)
    assert says(path) == expected
    report("flips", n_flips, n_found)


def put(file, sound, at, mask):
    altered = bytearray(sound)
    altered[at] ^= mask
    handle = os.open(file, os.O_WRONLY)
    os.pwrite(handle, altered, 0)
    os.close(handle)


def verdict(path, name, expected, is_checked):
    """Return what is wrong ("" = nothing), and whether the flip was found."""
    try:
        said = says(path)
    except IndexCorruptError:
        said = None
    except IndexMismatchError:  # a digit of the version: a newer matir_nb may know more
        said = None if name == MANIFEST_NAME else "IndexMismatchError"
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        return f"{type(error).__name__}: {error}"[:300], False
    if is_checked and said not in (None, expected):
        return f"another answer: {str(said)[:100]}", False
    return unverified(path, name, said == expected), said is None


def unverified(path, name, is_harmless):
    """Return what `verify` does not say and should."""
    try:
        broken = {(item.segment, item.file) for item in verify(path).broken}
    except IndexMismatchError:
        return ""
    first, *rest = name.split("/")
    if first == SEGMENTS:
        segment, file = rest
        return "" if broken == {(segment, file)} else f"verify says {broken}"
    is_needed = first in (MANIFEST_NAME, BACKUP_NAME) or not is_harmless
    return "" if {(None, first)} == broken or not is_needed else f"verify says {broken}"
