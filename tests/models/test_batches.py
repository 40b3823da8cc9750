import gc
import logging
import weakref

import pytest
import torch

from matir_nb.errors import ModelUnavailableError
from matir_nb.models import batches as module
from matir_nb.models.batches import Batches, free_memory, is_out_of_memory

CPU_MESSAGE = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"


class Memory:
    """Work that fails when it is given more items than fit."""

    def __init__(self, fits, error=None):
        self.fits = fits
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self.sizes = []

    def double(self, items):
        self.sizes.append(len(items))
        if len(items) > self.fits:
            raise self.error
        return [2 * item for item in items]


def test_results_come_in_order_in_batches_of_the_size():
    work = Memory(fits=9)
    assert Batches("points", 4).map(work.double, range(10)) == list(range(0, 20, 2))
    assert work.sizes == [4, 4, 2]


def test_nothing_to_do_is_not_begun():
    work = Memory(fits=9)
    assert Batches("points", 4).map(work.double, []) == []
    assert work.sizes == []


def test_what_does_not_fit_is_halved_and_said_once_each(caplog):
    work, batches = Memory(fits=3), Batches("points", 16)
    assert batches.map(work.double, list(range(8))) == list(range(0, 16, 2))
    assert work.sizes == [8, 4, 2, 2, 2, 2]
    assert [r.message for r in caplog.records] == [
        "points: 8 at once do not fit into memory, going on with 4",
        "points: 4 at once do not fit into memory, going on with 2",
    ]
    assert {r.levelno for r in caplog.records} == {logging.WARNING}


def test_the_size_found_is_kept(caplog):
    work, batches = Memory(fits=3), Batches("points", 16)
    batches.map(work.double, range(20))
    n_said = len(caplog.records)
    work.sizes.clear()
    batches.map(work.double, range(5))
    assert (batches.size, work.sizes, len(caplog.records)) == (2, [2, 2, 1], n_said)


def test_what_was_done_before_memory_ran_out_is_not_done_again():
    calls = []

    def work(items):
        calls.append(list(items))
        if len(calls) == 2:
            raise MemoryError
        return items

    assert Batches("points", 4).map(work, range(8)) == list(range(8))
    assert calls == [[0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [6, 7]]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError(CPU_MESSAGE),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.07 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ],
)
def test_every_device_says_it_otherwise(error):
    assert is_out_of_memory(error)
    assert Batches("points", 4).map(Memory(2, error).double, range(4)) == [0, 2, 4, 6]


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory")])
def test_other_errors_pass_through_at_once(error):
    work = Memory(0, error)
    with pytest.raises(type(error), match=str(error)):
        Batches("points", 4).map(work.double, range(4))
    assert work.sizes == [4]


def test_one_that_does_not_fit_says_what_to_do():
    message = "crops: not even one fits into memory: use a smaller model, device='cpu', or free"
    with pytest.raises(ModelUnavailableError, match=message) as caught:
        Batches("crops", 4).map(Memory(0).double, range(4))
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(ModelUnavailableError("no weights"))


class Activations:
    """Stands for the tensors of a failed batch."""


def test_the_failed_batch_is_let_go_before_the_next_is_tried():
    held = []

    def work(items):
        tensors = Activations()
        held.append(weakref.ref(tensors))
        if len(items) > 1:
            raise MemoryError
        assert all(ref() is None for ref in held[:-1])
        return items

    gc.disable()
    try:
        assert Batches("points", 2).map(work, [1, 2]) == [1, 2]
    finally:
        gc.enable()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_memory_goes_back_to_the_device(monkeypatch, device):
    emptied = []
    monkeypatch.setattr(module.torch.cuda, "is_available", lambda: device == "cuda")
    monkeypatch.setattr(module.torch.backends.mps, "is_available", lambda: True)
    for kind in ("cuda", "mps"):
        empty = lambda kind=kind: emptied.append(kind)  # noqa: E731
        monkeypatch.setattr(getattr(torch, kind), "empty_cache", empty)
    free_memory()
    assert emptied == [device]
