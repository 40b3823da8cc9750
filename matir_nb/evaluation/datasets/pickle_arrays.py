"""What the few names stand for that data in a pickle needs: NumPy's arrays, and bytes.

A pickle asks for a function by name, gives it arguments, and then gives the result a state. Here
a name is two strings; `called` and `built` know what the functions would have made, and make it
from checked values. No array is larger than the bytes that the file holds for it. This module
knows no file and no instruction of a pickle.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Name: TypeAlias = tuple[str, str]

_ARRAY: Name = ("numpy", "ndarray")
_DTYPE: Name = ("numpy", "dtype")
_BARE: Name = ("numpy._core.multiarray", "_reconstruct")
_SCALAR: Name = ("numpy._core.multiarray", "scalar")
_BUFFER: Name = ("numpy._core.numeric", "_frombuffer")
_ENCODE: Name = ("_codecs", "encode")
_BYTES: Name = ("builtins", "bytes")
_ORDERED: Name = ("collections", "OrderedDict")
_KNOWN = (_ARRAY, _DTYPE, _BARE, _SCALAR, _BUFFER, _ENCODE, _BYTES, _ORDERED)
_OLD_MODULES = {
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "__builtin__": "builtins",
}
_TYPES = re.compile(r"b1|[iuf][1248]|[SU][0-9]{1,9}|O8?")
_MAX_AXES = 32
_KEYS = (str, bytes, float, type(None))
_MAX_KEY = 2**63


class RefusalError(Exception):
    """A pickle asks for something that data does not need."""


@dataclass(slots=True, eq=False)
class Called:
    """What a name gave when it was called, and its state once that is known.

    Attributes:
        name: of the function.
        args: its arguments.
        value: what it stands for; itself until that is known.
        places: where the memo holds it.
    """

    name: Name
    args: tuple[Any, ...]
    value: Any = None
    places: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Function:
    """A name that data may call.

    Attributes:
        name: module and attribute, as today's NumPy has them.
    """

    name: Name


def named(module: object, attribute: object) -> Function:
    """Return what stands for a name.

    Raises:
        RefusalError: data needs no such name.

    >>> named("numpy.core.multiarray", "scalar").name
    ('numpy._core.multiarray', 'scalar')
    """
    if isinstance(module, str) and isinstance(attribute, str):
        name = (_OLD_MODULES.get(module, module), attribute)
        if name in _KNOWN:
            return Function(name)
    words = ".".join(part if isinstance(part, str) else "?" for part in (module, attribute))
    message = f"it asks for {words[:100]!r}, which data does not need"
    raise RefusalError(message)


def called(function: object, args: object) -> Any:
    """Return what a function of `named` would have made of its arguments.

    Raises:
        RefusalError: it is no such function.
        TypeError, ValueError: the arguments are not those that data has.
    """
    if not isinstance(function, Function) or not isinstance(args, tuple):
        message = f"it calls a value, {type(function).__name__}: data calls nothing"
        raise RefusalError(message)
    make = _MAKERS.get(function.name)
    if make is not None:
        return make(*args)
    if function.name == _DTYPE or (function.name == _BARE and Function(_ARRAY) in args[:1]):
        return Called(function.name, args)
    message = f"{'.'.join(function.name)} is called otherwise than for an array"
    raise RefusalError(message)


def built(thing: object, state: object) -> Any:
    """Return what stands for an object once its state is known.

    Raises:
        RefusalError: it is neither an array nor the type of one.
        TypeError, ValueError, OverflowError: the state is not that of an array.
    """
    if isinstance(thing, Called) and isinstance(state, tuple) and thing.value is None:
        if thing.name == _DTYPE:
            thing.value = _dtype(thing.args[0], state)
            return thing
        if thing.name == _BARE:
            _, shape, dtype, is_fortran, raw = state
            return _array(raw, shape, dtype, is_fortran=is_fortran is True)
    message = f"it gives a state to {type(thing).__name__}: data has none"
    raise RefusalError(message)


def is_key(value: object) -> bool:
    """Return whether a value may be a dict's key.

    A tuple of tuples, each twice the next, would take for ever to hash; so would a dict of large
    numbers that all have one hash (multiples of 2 ** 61 - 1) to fill.

    >>> is_key("a"), is_key(2**61 - 1), is_key(2**64 - 8), is_key((1,))
    (True, True, False, False)
    """
    if isinstance(value, int):
        return -_MAX_KEY <= value < _MAX_KEY
    return isinstance(value, _KEYS)


def _pairs(pairs: Sequence[Sequence[Any]] = ()) -> dict[str | int, Any]:
    """Return a dict of what Python 2 gives an ordered one: a list of pairs."""
    if not isinstance(pairs, list | tuple):
        raise TypeError(type(pairs).__name__)
    found: dict[str | int, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str | int) or not is_key(key):
            raise TypeError(type(key).__name__)
        found[key] = value
    return found


def _encoded(text: object, encoding: object) -> bytes:
    """Return the bytes that Python 3 writes as text for Python 2."""
    if not isinstance(text, str) or not isinstance(encoding, str) or encoding != "latin1":
        raise TypeError(type(text).__name__)
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


def _scalar(dtype: object, raw: object) -> Any:
    found = _array(raw, (), dtype, is_fortran=False)
    if not isinstance(found, np.ndarray):
        raise TypeError(type(found).__name__)
    return found.item()


def _from_buffer(raw: object, dtype: object, shape: object, order: object) -> Any:
    return _array(raw, shape, dtype, is_fortran=isinstance(order, str) and order == "F")


_MAKERS: Mapping[Name, Callable[..., Any]] = {
    _ORDERED: _pairs,
    _ENCODE: _encoded,
    _BYTES: _no_bytes,
    _SCALAR: _scalar,
    _BUFFER: _from_buffer,
}


def _dtype(code: object, state: tuple[Any, ...]) -> np.dtype[Any]:
    """Return an array's type of its code, such as "f8", and its state: (3, byte order, ...)."""
    order, parts = state[1], state[2:5]
    known = isinstance(code, str) and _TYPES.fullmatch(code) and isinstance(order, str)
    if not known or order not in ("<", ">", "|", "="):
        message = "an array has a type other than numbers, truths, strings and objects"
        raise RefusalError(message)
    if any(part is not None for part in parts):
        message = "an array has fields"
        raise RefusalError(message)
    return np.dtype(f"{order}{code}")


def _array(raw: object, shape: object, dtype: object, *, is_fortran: bool) -> Any:
    """Return the array; of objects a list, or the object where there is no axis."""
    kind = dtype.value if isinstance(dtype, Called) else None
    if not isinstance(kind, np.dtype) or not isinstance(shape, tuple) or len(shape) > _MAX_AXES:
        message = "an array without a type and a shape"
        raise ValueError(message)
    if not all(isinstance(n, int) and 0 <= n < 2**40 for n in shape):
        message = "an array with an impossible shape"
        raise ValueError(message)
    if kind.hasobject:
        return _objects(raw, shape)
    content = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not isinstance(content, bytes) or len(content) != math.prod(shape) * kind.itemsize:
        message = "an array whose shape is not that of its bytes"
        raise ValueError(message)
    flat: NDArray[Any] = np.frombuffer(content, kind) if content else np.zeros(0, kind)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _objects(raw: object, shape: tuple[int, ...]) -> Any:
    if not isinstance(raw, list) or len(shape) > 1 or len(raw) != math.prod(shape):
        message = "an array of objects of more than one axis"
        raise ValueError(message)
    return raw if shape else raw[0]
