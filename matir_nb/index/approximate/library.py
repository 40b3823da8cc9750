"""FAISS: make, fill, search, write and read an index of one kind. Nothing else imports it.

Its -1 for "no more found" is passed on by `search`, and ends in
`matir_nb.index.approximate.opened`.
"""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import IndexCorruptError, ModelUnavailableError
from matir_nb.extras import install
from matir_nb.index.approximate.about import AGAIN
from matir_nb.index.approximate.plan import LINKS, Plan
from matir_nb.index.disk import FileWriter
from matir_nb.types import FloatArray

EF_CONSTRUCTION = 100
QUERY_BITS = 4
"""RaBitQ rounds each query to so many bits; more were measured to change nothing."""
INSTALL = f"{install('faiss-cpu')} (or [faiss-gpu], never both)"


def require() -> None:
    """Raise unless FAISS can be used.

    Raises:
        ModelUnavailableError: it is not installed.
    """
    if importlib.util.find_spec("faiss") is None:
        message = f"FAISS is not installed: {INSTALL}"
        raise ModelUnavailableError(message)


def version() -> str:
    """Return FAISS's version."""
    return str(_faiss().__version__)


def n_gpus() -> int:
    """Return the GPUs that this FAISS can use; 0 for faiss-cpu."""
    faiss = _faiss()
    return int(faiss.get_num_gpus()) if hasattr(faiss, "index_cpu_to_all_gpus") else 0


def make(plan: Plan, sample: FloatArray, seed: int) -> Any:
    """Return an empty FAISS index, trained on (n, d) float32 `sample`; on a GPU if there is one."""
    faiss = _faiss()
    product = faiss.METRIC_INNER_PRODUCT
    if plan.kind == "hnsw":
        half = faiss.ScalarQuantizer.QT_fp16
        graph = faiss.IndexHNSWSQ(plan.dim, half, LINKS, product)
        graph.hnsw.efConstruction = EF_CONSTRUCTION
        graph.hnsw.rng = faiss.RandomGenerator(seed)
        graph.train(sample)
        return graph
    index, lists = _lists(faiss, plan, seed)
    lists.cp.seed = seed
    # FAISS keeps no reference to it: this name does, as long as it trains
    on_gpus = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(plan.dim)) if n_gpus() else None
    lists.clustering_index = on_gpus
    index.train(sample)
    lists.clustering_index = None
    return index


def _lists(faiss: Any, plan: Plan, seed: int) -> tuple[Any, Any]:
    """Return a FAISS index of inverted lists, and the part of it that has them."""
    product, cells = faiss.METRIC_INNER_PRODUCT, faiss.IndexFlatIP(plan.dim)
    if plan.kind == "ivf":
        byte = faiss.ScalarQuantizer.QT_8bit
        own = True  # by residual: codes of the difference to the list's centre
        lists = faiss.IndexIVFScalarQuantizer(cells, plan.dim, plan.n_lists, byte, product, own)
        return lists, lists
    bits = 1
    lists = faiss.IndexIVFRaBitQ(cells, plan.dim, plan.n_lists, product, True, bits)
    # the error bound of RaBitQ holds for randomly rotated vectors only (Gao and Long, SIGMOD 2024)
    rotation = faiss.RandomRotationMatrix(plan.dim, plan.dim)
    rotation.init(seed)
    return faiss.IndexPreTransform(rotation, lists), lists


def fill(index: Any, blocks: Iterable[FloatArray]) -> None:
    """Add (b, d) float32 blocks; FAISS numbers the vectors in this order."""
    for block in blocks:
        index.add(block)


def search(
    index: Any,
    kind: str,
    queries: FloatArray,
    n: int,
    *,
    effort: int,
    usable: NDArray[np.bool_] | None,
) -> NDArray[np.int64]:
    """Return (q, n) numbers of the nearest vectors, best first; -1 = no more found.

    Args:
        index: the FAISS index.
        kind: of the index.
        queries: (q, d) float32.
        n: how many per query.
        effort: lists to visit, or the graph's efSearch.
        usable: which vectors may be found; None = all.
    """
    faiss = _faiss()
    options: dict[str, Any] = {}
    if usable is not None:
        options["sel"] = faiss.IDSelectorBitmap(np.packbits(usable, bitorder="little"))
    if kind == "hnsw":
        given = faiss.SearchParametersHNSW(efSearch=effort, **options)
    elif kind == "ivf":
        given = faiss.SearchParametersIVF(nprobe=effort, **options)
    else:
        inside = faiss.IVFRaBitQSearchParameters(nprobe=effort, qb=QUERY_BITS, **options)
        given = faiss.SearchParametersPreTransform(index_params=inside)
    _, numbers = index.search(np.ascontiguousarray(queries, np.float32), n, params=given)
    found: NDArray[np.int64] = numbers
    return found


def write(index: Any, file: FileWriter) -> None:
    """Write a FAISS index, in FAISS's own format."""
    faiss = _faiss()
    faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))


def read(path: Path) -> Any:
    """Return the FAISS index of a file.

    Raises:
        IndexCorruptError: FAISS cannot read it.
    """
    try:
        return _faiss().read_index(str(path))
    except RuntimeError as error:
        message = f"{str(path)!r} cannot be read by FAISS: {AGAIN}"
        raise IndexCorruptError(message) from error


def _faiss() -> Any:
    require()
    import faiss

    return faiss
