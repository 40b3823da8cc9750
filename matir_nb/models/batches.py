"""Work in batches as large as memory allows: too large a batch is halved, and said once.

This module knows torch's errors and no model.
"""

import gc
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from matir_nb.errors import ModelUnavailableError

LOG = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "cannot allocate memory",
)
"""In the messages of errors that are no `torch.OutOfMemoryError`: of the CPU, MPS and cuBLAS."""


class Batches:
    """Batches of one kind of work; what did not fit once is not tried again."""

    def __init__(self, what: str, largest: int) -> None:
        """Start with the largest size.

        Args:
            what: is batched, in words.
            largest: items at once, >= 1.
        """
        self._what = what
        self.size = largest

    def map(
        self, work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
    ) -> list[Result]:
        """Return the results of `work` on all `items`, in order.

        Args:
            work: one result per item; may raise for want of memory, and is then called again
                with half as many.
            items: any number.

        Raises:
            ModelUnavailableError: not even one item fits into memory.
        """
        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.size]
            try:
                results += work(batch)
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise ModelUnavailableError(self._too_large()) from error
            # outside of `except`: the error holds the frames that hold the memory
            self._shrink(len(batch))
        return results

    def _shrink(self, size: int) -> None:
        self.size = size // 2
        free_memory()
        what = "%s: %d at once do not fit into memory, going on with %d"
        LOG.warning(what, self._what, size, self.size)

    def _too_large(self) -> str:
        return (
            f"{self._what}: not even one fits into memory: use a smaller model, "
            "device='cpu', or free memory that other programs hold"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or the one that caused it, means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, RuntimeError) and any(w in str(error).lower() for w in OUT_OF_MEMORY):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def free_memory() -> None:
    """Give memory that nothing uses back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
