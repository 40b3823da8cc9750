"""A small machine that follows a pickle's instructions and can call nothing.

It knows those that build strings, numbers, lists, tuples and dicts. A name is never looked up:
`matir_nb.evaluation.datasets.pickle_arrays` knows the few that NumPy's arrays need, and builds
what they stand for itself; every other name, and every instruction that makes objects of other
classes, is refused. Strings of Python 2 are Latin-1: a character per byte. The instructions are
those of CPython's ``pickletools``. This module knows no file.
"""

import struct
import warnings
from codecs import escape_decode
from collections.abc import Callable
from typing import Any, TypeAlias

from matir_nb.evaluation.datasets.pickle_arrays import (
    Called,
    RefusalError,
    built,
    called,
    is_key,
    named,
)

MAX_STEPS = 30_000_000
"""Instructions; the largest published file has some 7 million."""
_MAX_DIGITS = 64
_FREE_WORK, _WORK_PER_BYTE = 2**20, 4
"""What calls may read, in bytes or items: data gives each call values of its own."""
_REFUSED = {
    b"i": "INST",
    b"o": "OBJ",
    b"\x81": "NEWOBJ",
    b"\x92": "NEWOBJ_EX",
    b"\x82": "EXT1",
    b"\x83": "EXT2",
    b"\x84": "EXT4",
    b"P": "PERSID",
    b"Q": "BINPERSID",
    b"\x97": "NEXT_BUFFER",
    b"\x98": "READONLY_BUFFER",
    b"\x8f": "EMPTY_SET",
    b"\x90": "ADDITEMS",
    b"\x91": "FROZENSET",
}
_LONG_KINDS = (str, bytes, list, tuple, dict)
_MARK = object()


class Machine:
    """A stack, a memo and a place in the file."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.work_left = _FREE_WORK + _WORK_PER_BYTE * len(content)

    def run(self) -> Any:
        """Follow the instructions up to the last; return what is on the stack then."""
        steps = [_STEPS.get(bytes([code])) for code in range(256)]
        for _ in range(MAX_STEPS):
            code = self.content[self.at]
            self.at += 1
            step = steps[code]
            if step is None:
                break
            step(self)
        else:
            message = f"it has more than {MAX_STEPS} instructions"
            raise RefusalError(message)
        if code == ord("."):
            return self.pop()
        what = _REFUSED.get(bytes([code]), f"{bytes([code])!r}, which is no instruction")
        message = f"it holds {what}; data needs no such thing"
        raise RefusalError(message)

    def take(self, n: int) -> bytes:
        """Return the next `n` bytes of the file."""
        self.skip(n)
        return self.content[self.at - n : self.at]

    def skip(self, n: int) -> None:
        """Go on by `n` bytes."""
        self.at += n
        if n < 0 or self.at > len(self.content):
            raise IndexError(n)

    def number(self, form: str) -> Any:
        """Return the next number of the file, in a form of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        """Return the file up to the end of a line."""
        end = self.content.index(b"\n", self.at)
        found, self.at = self.content[self.at : end], end + 1
        return found

    def pop(self) -> Any:
        """Take the top of the stack; a mark is none of it."""
        top = self.stack.pop()
        if top is _MARK:
            raise IndexError(top)
        return top

    def pop_marked(self) -> list[Any]:
        """Take all that lies above the topmost mark, and the mark."""
        items: list[Any] = []
        while (top := self.stack.pop()) is not _MARK:
            items.append(top)
        return items[::-1]

    def drop(self) -> None:
        """Take the top of the stack, be it a mark or not."""
        self.stack.pop()

    def drop_marked(self) -> None:
        """Take all down to the topmost mark."""
        self.pop_marked()

    def extend(self, items: list[Any]) -> None:
        """Put items into the list on the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError(type(target).__name__)
        target.extend(items)

    def update(self, items: list[Any]) -> None:
        """Put keys, each with its value behind it, into the dict on the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError(type(target).__name__)
        target.update(_dict(items))

    def keep(self, key: int) -> None:
        """Write the top of the stack into the memo."""
        top = self.stack[-1]
        if isinstance(top, Called):
            top.places.append(key)
        self.memo[key] = top

    def build(self) -> None:
        """Give an array, or its type, its state; the memo has the array from now on."""
        state, thing = self.pop(), self.pop()
        self.spend(state)
        result = built(thing, state)
        for place in thing.places:  # `built` refuses all but `Called`
            self.memo[place] = result
        thing.places.clear()
        self.stack.append(result)

    def spend(self, args: Any) -> None:
        """Pay for what a call is about to read: a file may give many calls one long value."""
        parts = (args, *args) if isinstance(args, tuple) else (args,)
        self.work_left -= sum(len(part) for part in parts if isinstance(part, _LONG_KINDS))
        if self.work_left < 0:
            raise RefusalError("its calls read the same long values again and again")


_Step: TypeAlias = Callable[[Machine], None]


def _push(make: Callable[[Machine], Any]) -> _Step:
    """Return the instruction that puts a value on the stack."""
    return lambda machine: machine.stack.append(make(machine))


def _keep(key: Callable[[Machine], int]) -> _Step:
    return lambda machine: machine.keep(key(machine))


def _recall(key: Callable[[Machine], int]) -> _Step:
    return _push(lambda machine: machine.memo[key(machine)])


def _number(form: str) -> Callable[[Machine], Any]:
    return lambda machine: machine.number(form)


def _text(form: str, encoding: str, errors: str = "strict") -> _Step:
    return _push(lambda machine: machine.take(machine.number(form)).decode(encoding, errors))


def _raw(form: str) -> _Step:
    return _push(lambda machine: machine.take(machine.number(form)))


def _whole(digits: bytes) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(len(digits))
    return int(digits)


def _int(machine: Machine) -> bool | int:
    line = machine.line()
    return line == b"01" if line in (b"00", b"01") else _whole(line)


def _long(form: str) -> _Step:
    def read(machine: Machine) -> int:
        n_bytes = machine.number(form)
        if not 0 <= n_bytes <= _MAX_DIGITS:
            raise ValueError(n_bytes)
        return int.from_bytes(machine.take(n_bytes), "little", signed=True)

    return _push(read)


def _quoted(machine: Machine) -> str:
    line = machine.line()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:]:
        raise ValueError(len(line))
    return _unescaped(line[1:-1]).decode("latin-1")


def _unescaped(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that mean nothing
        found: bytes = escape_decode(text)[0]
        return found


def _global(machine: Machine) -> Any:
    module, attribute = machine.line(), machine.line()
    return named(module.decode("utf-8", "replace"), attribute.decode("utf-8", "replace"))


def _stack_global(machine: Machine) -> Any:
    attribute, module = machine.pop(), machine.pop()
    return named(module, attribute)


def _reduce(machine: Machine) -> Any:
    args, function = machine.pop(), machine.pop()
    machine.spend(args)
    return called(function, args)


def _tuple(n: int) -> _Step:
    return _push(lambda machine: tuple([machine.pop() for _ in range(n)][::-1]))


def _dict(items: list[Any]) -> dict[Any, Any]:
    keys = items[::2]
    if not all(map(is_key, keys)):
        raise TypeError("key")
    return dict(zip(keys, items[1::2], strict=True))


_STEPS: dict[bytes, _Step] = {
    # what the file says of itself
    b"\x80": lambda machine: machine.skip(1),
    b"\x95": lambda machine: machine.skip(8),
    # the stack
    b"(": _push(lambda _: _MARK),
    b"0": lambda machine: machine.drop(),
    b"1": lambda machine: machine.drop_marked(),
    b"2": _push(lambda machine: machine.stack[-1]),
    # the memo
    b"p": _keep(lambda machine: _whole(machine.line())),
    b"q": _keep(_number("<B")),
    b"r": _keep(_number("<I")),
    b"\x94": _keep(lambda machine: len(machine.memo)),
    b"g": _recall(lambda machine: _whole(machine.line())),
    b"h": _recall(_number("<B")),
    b"j": _recall(_number("<I")),
    # single values
    b"N": _push(lambda _: None),
    b"\x88": _push(lambda _: True),
    b"\x89": _push(lambda _: False),
    b"I": _push(_int),
    b"J": _push(_number("<i")),
    b"K": _push(_number("<B")),
    b"M": _push(_number("<H")),
    b"L": _push(lambda machine: _whole(machine.line().removesuffix(b"L"))),
    b"\x8a": _long("<B"),
    b"\x8b": _long("<i"),
    b"F": _push(lambda machine: float(machine.line())),
    b"G": _push(_number(">d")),
    b"S": _push(_quoted),
    b"T": _text("<i", "latin-1"),
    b"U": _text("<B", "latin-1"),
    b"V": _push(lambda machine: machine.line().decode("raw-unicode-escape")),
    b"X": _text("<I", "utf-8", "surrogatepass"),
    b"\x8c": _text("<B", "utf-8", "surrogatepass"),
    b"\x8d": _text("<Q", "utf-8", "surrogatepass"),
    b"B": _raw("<I"),
    b"C": _raw("<B"),
    b"\x8e": _raw("<Q"),
    b"\x96": _raw("<Q"),
    # what holds others
    b")": _push(lambda _: ()),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"t": _push(lambda machine: tuple(machine.pop_marked())),
    b"]": _push(lambda _: []),
    b"l": _push(lambda machine: machine.pop_marked()),
    b"a": lambda machine: machine.extend([machine.pop()]),
    b"e": lambda machine: machine.extend(machine.pop_marked()),
    b"}": _push(lambda _: {}),
    b"d": _push(lambda machine: _dict(machine.pop_marked())),
    b"s": lambda machine: machine.update([machine.pop(), machine.pop()][::-1]),
    b"u": lambda machine: machine.update(machine.pop_marked()),
    # what stands for NumPy's arrays
    b"c": _push(_global),
    b"\x93": _push(_stack_global),
    b"R": _push(_reduce),
    b"b": lambda machine: machine.build(),
}
