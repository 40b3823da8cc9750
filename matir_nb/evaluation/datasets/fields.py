"""Values of a pickled entry, checked before use: hostile data may nest without end.

Lists that hold one list many times are small in a file and huge once they are printed, hashed or
made an array, so no value is used for anything before its kind is known.
"""

from typing import Any

import numpy as np


def whole(value: Any) -> int:
    """Return a whole number, be it an array of one.

    Raises:
        TypeError: it is none.

    >>> whole(np.array([7]))
    7
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0].item()
    if not isinstance(value, int):
        message = f"expected a whole number, got {type(value).__name__}"
        raise TypeError(message)
    return int(value)


def wholes(values: Any) -> list[int]:
    """Return whole numbers of a list, a tuple or an array.

    Raises:
        TypeError: they are none.

    >>> wholes(np.array([2, 3]))
    [2, 3]
    """
    return [whole(value) for value in items(values)]


def numbers(values: Any, n: int) -> list[float]:
    """Return `n` numbers of a list or an array, which may lie in a list or an array alone.

    Raises:
        TypeError: they are none, or another number of them.

    >>> numbers([[1, 2.5]], 2)
    [1.0, 2.5]
    """
    found = items(values)
    if len(found) == 1 and n > 1:
        found = items(found[0])
    if len(found) != n or not all(isinstance(value, int | float) for value in found):
        message = f"expected {n} numbers, got a {type(values).__name__} of {len(found)}"
        raise TypeError(message)
    return [float(value) for value in found]


def items(values: Any) -> list[Any]:
    """Return the items of a list, a tuple or an array.

    Raises:
        TypeError: it is none.
    """
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, list | tuple):
        message = f"expected a list, got {type(values).__name__}"
        raise TypeError(message)
    return list(values)


def words(value: Any) -> str:
    """Return a text without space around it.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, str):
        message = f"expected a text, got {type(value).__name__}"
        raise TypeError(message)
    return value.strip()


def record(value: Any) -> dict[Any, Any]:
    """Return a dict.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, dict):
        message = f"expected a dict, got {type(value).__name__}"
        raise TypeError(message)
    return value
