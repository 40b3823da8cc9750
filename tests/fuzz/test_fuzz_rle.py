"""Run-length codes that nobody vouches for: measured right, or refused; no crash, no memory."""

import random
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from fuzzing import N_CASES, fuzzed
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from matir_nb.errors import MatirError, ShapeError
from matir_nb.geometry import masks
from matir_nb.types import MaskRLE

READERS = {
    "decode": masks.decode,
    "decode_many": lambda rle: masks.decode_many([rle, rle]),
    "area": masks.area,
    "box": masks.tight_box_xyxy,
    "segments": masks.segments,
    "scale": lambda rle: masks.scale(rle, 5, 7),
    "iou": lambda rle: masks.mask_iou([rle], [rle, rle]),
    "merge": lambda rle: masks.merge([rle, rle]),
    "regions": lambda rle: masks.regions_from_masks([rle]),
    "from_compressed": lambda rle: masks.from_compressed(rle.counts, *rle.size),
}
CHILD = """
import random, resource, sys
from test_fuzz_rle import READERS, random_rle
from matir_nb.errors import MatirError

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
rng = random.Random(sys.argv[1])
n_read = 0
for _ in range(int(sys.argv[2])):
    rle = random_rle(rng)
    for read in READERS.values():
        try:
            read(rle)
            n_read += 1
        except MatirError:
            pass
print(n_read)
"""


def written(number):
    """Return the bytes of one number, as pycocotools writes it."""
    out = bytearray()
    while True:
        bits = number & 0x1F
        number >>= 5
        is_last = number == (-1 if bits & 0x10 else 0)
        out.append(bits + 48 + (0 if is_last else 32))
        if is_last:
            return bytes(out)


def coded(runs):
    """Return the code of runs, which may be any numbers."""
    return b"".join(written(r - (runs[i - 2] if i > 2 else 0)) for i, r in enumerate(runs))


def slow_mask(counts, height, width):
    """Return the mask byte by byte, or None where the code is none of that size."""
    runs, value, shift = [], 0, 0
    for byte in counts:
        if not 48 <= byte < 112:
            return None
        value |= ((byte - 48) & 31) << shift
        shift += 5
        if byte - 48 < 32:
            value -= (1 << shift) if (byte - 48) & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    if shift or min(runs, default=0) < 0 or sum(runs) != height * width:
        return None
    flat = [bool(i % 2) for i, run in enumerate(runs) for _ in range(run)]
    return np.array(flat).reshape(width, height).T


def random_rle(rng):
    """Return a code of random bytes, or one of few runs that nearly fit."""
    size = (rng.choice([0, 1, 4, 90, 2**31]), rng.choice([0, 1, 5, 70, -3]))
    if rng.random() < 0.5:
        alphabet = rng.choice([bytes(range(48, 112)), bytes(range(256)), b"o_PO0`?"])
        return MaskRLE(size, bytes(rng.choices(alphabet, k=rng.randint(0, 40))))
    runs = [rng.choice([0, 1, 3, 2**31, -1, -(2**31), 2**32]) for _ in range(rng.randint(0, 6))]
    runs.append(size[0] * size[1] - sum(runs))
    return MaskRLE(size, coded(runs))


def test_a_process_that_reads_anything_neither_dies_nor_fills_the_memory(pytestconfig):
    # in a process of its own: what the codec's C code does to it would end the test run
    run = subprocess.run(
        [sys.executable, "-c", CHILD, "seed", str(N_CASES)],
        cwd=pytestconfig.rootpath / "tests" / "fuzz",
        env={"PYTHONPATH": f"{pytestconfig.rootpath}:.", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert int(run.stdout) > N_CASES / 20


sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))
any_side = st.one_of(st.integers(-3, 40), st.integers(-(2**70), 2**70))
runs_that_fit = st.tuples(sizes, st.lists(st.integers(0, 20), max_size=12)).map(
    lambda pair: (pair[0], [*pair[1], pair[0][0] * pair[0][1] - sum(pair[1])])
)
any_runs = st.tuples(
    sizes, st.lists(st.one_of(st.integers(-5, 30), st.integers(-(2**70), 2**70)), max_size=12)
)


@fuzzed
@given(
    st.one_of(
        st.tuples(sizes, st.binary(max_size=60)),
        st.tuples(sizes, st.text("0123456789?@ABO PQo_`n", max_size=40).map(str.encode)),
        any_runs.map(lambda pair: (pair[0], coded(pair[1]))),
        runs_that_fit.map(lambda pair: (pair[0], coded(pair[1]))),
        st.tuples(st.tuples(any_side, any_side), st.binary(max_size=60)),
    )
)
def test_a_code_is_read_as_it_is_written_or_refused(case):
    size, counts = case
    try:
        rle = masks.from_compressed(counts, *size)
    except ShapeError:
        small = min(size) > 0 and max(size) <= 40
        assert not small or slow_mask(counts, *size) is None
        with pytest.raises(MatirError):
            masks.decode(MaskRLE(size, counts))
        return
    mask = masks.decode(rle)
    assert np.array_equal(mask, slow_mask(counts, *size))
    assert masks.area(rle) == mask.sum()
    fresh = masks.encode(mask)
    assert masks.tight_box_xyxy(rle) == masks.tight_box_xyxy(fresh)
    assert fresh.counts == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    for read in READERS.values():
        read(rle)


@fuzzed
@given(sizes, st.binary(max_size=40), st.sampled_from(sorted(READERS)))
def test_every_reader_of_a_stored_mask_refuses_what_is_broken(size, counts, name):
    try:
        READERS[name](MaskRLE(size, counts))
    except ShapeError as error:
        assert "got" in str(error)  # noqa: PT017 - no error is right, too


numbers = st.one_of(
    st.integers(-5, 40),
    st.floats(-50, 90),
    st.floats(),
    st.integers(-(2**70), 2**70),
)


@fuzzed
@given(st.lists(st.lists(numbers, max_size=14), max_size=4), any_side, any_side)
def test_polygons_of_any_numbers_are_drawn_or_refused(polygons, height, width):
    try:
        mask = masks.from_polygons(polygons, height, width)
    except MatirError:
        return
    assert mask.size == (height, width)
    assert 0 <= masks.area(mask) <= height * width


@fuzzed
@given(st.lists(numbers, max_size=9), any_side, any_side)
def test_runs_of_any_numbers_are_taken_or_refused(runs, height, width):
    try:
        mask = masks.from_runs(runs, height, width)
    except MatirError:
        return
    assert masks.area(mask) == sum(int(run) for run in runs[1::2])


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize("counts", [coded([0, 2**62]), coded([2**34]), b"o" * 100_000 + b"0", b""])
def test_a_huge_mask_in_a_few_bytes_takes_no_memory(name, counts):
    tracemalloc.start()
    with pytest.raises(ShapeError):
        READERS[name](MaskRLE((2**31, 2**31), counts))
    with pytest.raises(ShapeError):
        READERS[name](MaskRLE((3, 3), counts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_the_random_codes_of_the_child_reach_both_outcomes():
    rng = random.Random(1)
    outcomes = set()
    for _ in range(300):
        rle = random_rle(rng)
        is_small = min(rle.size) > 0 and max(rle.size) < 100
        outcomes.add(is_small and slow_mask(rle.counts, *rle.size) is not None)
    assert outcomes == {True, False}
