import mmap

import numpy as np
import pytest

from matir_nb.index import arrays
from matir_nb.index.arrays import open_array, write_header


def written(path, array):
    with path.open("wb") as file:
        write_header(file, array.dtype.str, array.shape)
        file.write(array.tobytes())
    return path


def owner(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


@pytest.mark.parametrize(("n_rows", "kind"), [(10, bytearray), (arrays.READ_BYTES, mmap.mmap)])
def test_small_arrays_are_read_and_large_ones_mapped(tmp_path, n_rows, kind):
    array = np.arange(n_rows * 2, dtype="<f4").reshape(n_rows, 2)
    opened = open_array(written(tmp_path / "a.npy", array), "<f4", array.shape)
    np.testing.assert_array_equal(opened, array)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)
    assert isinstance(owner(opened), kind)
    assert opened.flags.writeable  # torch refuses other memory


def test_another_array_is_refused(tmp_path):
    path = written(tmp_path / "a.npy", np.zeros((3, 2), "<f4"))
    for dtype, shape in (("<f2", (3, 2)), ("<f4", (2, 3))):
        with pytest.raises(ValueError, match=r"a\.npy holds no array"):
            open_array(path, dtype, shape)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="cannot reshape"):
        open_array(path, "<f4", (3, 2))
