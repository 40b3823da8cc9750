"""Pickles as data: what Python writes comes back, and what would run is refused."""

import builtins
import collections
import copyreg
import functools
import os
import pickle
import random
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets import pickle_machine, pickles
from matir_nb.evaluation.datasets.pickle_machine import Machine
from matir_nb.evaluation.datasets.pickles import read_pickle, read_pickled_npy

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args, state=None):
        self.parts = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.parts


@pytest.fixture
def read(tmp_path):
    def of(content):
        path = tmp_path / "data.pkl"
        path.write_bytes(content)
        return read_pickle(path)

    return of


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "data",
    [
        None,
        [True, False, 0, 1, -1, 255, 65536, 2**40, -(2**70), 1.5, -0.0, float("inf")],
        ["", "words", "é", "漢字 🦜", "\n'\"\\", "\x00", "a" * 300],
        [b"", b"x\xff\n", b"y" * 300],
        [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ([],), [[]], {}],
        {"a": 1, 2: "b", None: [3], 1.5: {"c": ()}, b"k": 0},
        collections.OrderedDict(a=1, b=[2]),
        list(range(3000)),
        [{"size": [4, 5], "counts": b"1234"}] * 3,
    ],
    ids=lambda data: type(data).__name__,
)
def test_data_comes_back(read, data, protocol):
    assert read(pickle.dumps(data, protocol)) == data


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        np.array([[1, 2, 3, 4]], np.uint8),
        np.zeros((0, 4), np.float32),
        np.array([True, False]),
        np.array(["ab", "c"]),
        np.array([b"ab", b"c"]),
        np.array(7),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back(read, array, protocol):
    got = read(pickle.dumps({"first": array, "again": [array, array]}, protocol))
    assert got["first"].dtype == array.dtype
    np.testing.assert_array_equal(got["first"], array)
    assert all(other is got["first"] for other in got["again"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_and_arrays_of_objects_come_back_as_plain_values(read, protocol):
    objects = np.array([{"a": [1]}, "b"], dtype=object)
    got = read(pickle.dumps([np.float32(2.5), np.int64(-3), np.bool_(1), objects], protocol))
    assert got == [2.5, -3, True, [{"a": [1]}, "b"]]


def test_python_2_strings_are_latin_1(read):
    # what Python 2's cPickle writes for {'raw': 'caf\xe9', 'n': 7L}, protocols 0 and 2
    text = b"(dp1\nS'raw'\np2\nS'caf\\xe9'\np3\nsS'n'\np4\nL7L\ns."
    binary = b"\x80\x02}q\x01(U\x03rawq\x02U\x04caf\xe9q\x03U\x01nq\x04\x8a\x01\x07u."
    assert read(text) == read(binary) == {"raw": "café", "n": 7}


def test_python_2_arrays(read):
    # numpy 1.16 under Python 2, protocol 2: bytes are strings there
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b"
        b"\x87Rq\x03(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02i2K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ"
        b"\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x01\x00\xff\xfftb."
    )
    assert read(content).tolist() == [1, -1]


def test_the_published_samples_read_as_python_reads_them(matir_data):
    folders = [matir_data / "annotations" / f"{n}_format_derived" for n in ("d3", "refcoco")]
    files = [file for folder in folders for file in folder.glob("*.p*") if file.suffix != ".png"]
    assert len(files) == 5
    for file in files:
        assert repr(read_pickle(file)) == repr(pickle.loads(file.read_bytes()))  # noqa: S301


HOSTILE = {
    "os.system": lambda marker: Calls(os.system, f"touch {marker}"),
    "posix": lambda marker: Calls(os.open, str(marker), os.O_CREAT),
    "subprocess": lambda marker: Calls(subprocess.Popen, ["touch", str(marker)]),
    "eval": lambda marker: Calls(eval, f"open({str(marker)!r}, 'w')"),
    "exec": lambda marker: Calls(exec, f"open({str(marker)!r}, 'w')"),
    "open": lambda marker: Calls(open, str(marker), "w"),
    "import": lambda _: Calls(builtins.__import__, "antigravity"),
    "getattr": lambda _: Calls(getattr, "x", "upper"),
    "partial": lambda marker: Calls(functools.partial, os.system, f"touch {marker}"),
    "reduce": lambda _: Calls(functools.reduce, print, [1, 2]),
    "savetxt": lambda marker: Calls(np.savetxt, str(marker), [1]),
    "load": lambda marker: Calls(np.load, str(marker)),
    "memmap": lambda marker: Calls(np.memmap, str(marker), "u1", "w+", 0, (9,)),
    "testing": lambda _: Calls(np.testing.assert_equal, 1, 1),
    "reconstructor": lambda _: Calls(copyreg._reconstructor, dict, object, None),
    "object": lambda _: Calls(object),
    "list": lambda _: Calls(list, "ab"),
    "bytes": lambda _: Calls(bytes, 2**40),
    "bytearray": lambda _: Calls(bytearray, 2**40),
    "set": lambda _: {1, 2},
    "complex": lambda _: 1j,
    "structured": lambda _: np.zeros(2, [("a", "i4"), ("b", "O")]),
    "complex array": lambda _: np.zeros(2, complex),
    "dates": lambda _: np.zeros(2, "M8[s]"),
    "matrix of objects": lambda _: np.array([[1, "a"]], dtype=object),
    "in an array": lambda marker: np.array([Calls(os.system, f"touch {marker}")], dtype=object),
    "in a dict": lambda marker: {"a": [Calls(os.system, f"touch {marker}")]},
    "as a key": lambda _: {("a", 1): 2},
    "state": lambda _: Calls(collections.OrderedDict, state={"x": 1}),
    "tuples as keys": lambda _: collections.OrderedDict([(("t",), 1)]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_run_is_refused(read, tmp_path, name):
    marker = tmp_path / "ran"
    for protocol in PROTOCOLS:
        with pytest.raises(AnnotationError, match=r"data\.pkl' is (refused|no whole pickle)"):
            read(pickle.dumps(HOSTILE[name](marker), protocol))
        assert not marker.exists()


@pytest.mark.parametrize("name", ["os.system", "posix", "subprocess", "savetxt"])
def test_python_itself_would_run_it(tmp_path, name):
    marker = tmp_path / "ran"
    thing = pickle.loads(pickle.dumps(HOSTILE[name](marker), 2))  # noqa: S301
    if name == "subprocess":
        thing.wait()
    assert marker.exists()


def called(*opcodes):
    return b"\x80\x04" + b"".join(opcodes) + b"."


NO_SIZE = b"J\xff\xff\xff\xff" * 2
OBJECT_TYPE = b"cnumpy\ndtype\n\x8c\x02O8\x89\x88\x87R(K\x03\x8c\x01|NNN" + NO_SIZE + b"K\x3ftb"
F8 = b"cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R(K\x03\x8c\x01<NNN" + NO_SIZE + b"K\x00tb"
BARE = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"cos\nsystem\n.", "'os.system'"),
        (called(b"\x8c\x02os\x8c\x06system\x93"), "'os.system'"),
        (called(b"\x8c\x08builtins\x8c\x0cstr.__init__\x93"), "'builtins.str.__init__'"),
        (called(b"\x8c\x05numpy\x8c\x10ndarray.__init__\x93"), "'numpy.ndarray.__init__'"),
        (called(b"\x8c\x05numpy\x8c\x0ef2py.run_main_\x93"), "'numpy.f2py.run_main_'"),
        (called(b"]]\x93"), r"'\?\.\?'"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "'builtins.eval'"),
        (b"c__builtin__\nexec\n.", "'__builtin__.exec'"),
        (b"(ios\nsystem\n.", "INST"),
        (b"(cnumpy\nndarray\no.", "OBJ"),
        (called(b"cnumpy\nndarray\n)\x81"), "NEWOBJ"),
        (called(b"cnumpy\nndarray\n)}\x92"), "NEWOBJ_EX"),
        (called(b"\x82\x01"), "EXT1"),
        (called(b"\x83\x01\x00"), "EXT2"),
        (called(b"\x84\x01\x00\x00\x00"), "EXT4"),
        (b"Psomething\n.", "PERSID"),
        (called(b"\x8c\x01aQ"), "BINPERSID"),
        (called(b"\x97"), "NEXT_BUFFER"),
        (called(b"\xff"), "no instruction"),
        (called(b"\x8c\x05lower)R"), "calls a value, str"),
        (called(b"}}b"), "gives a state to dict"),
        (called(b"cnumpy\nndarray\n(K\x01tb"), "gives a state to Function"),
        (called(b"cnumpy\nndarray\nK\x05\x85R"), "numpy.ndarray is called otherwise"),
        (called(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\n\x85R"), "otherwise"),
        (
            called(F8, b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"),
            "gives a state",
        ),
        (called(b"cnumpy\ndtype\n\x8c\x03V99\x85R(K\x03\x8c\x01|NNNtb"), "other than numbers"),
        (called(b"cnumpy\ndtype\n\x8c\x02f8\x85R(K\x03\x8c\x01<)NNtb"), "has fields"),
    ],
    ids=range(27),
)
def test_a_refusal_names_what_was_found(read, content, says):
    with pytest.raises(AnnotationError, match=f"nothing of it was executed: .*{says}"):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"(.",
        b"\x80\x04",
        b"\x80\x04K\x01",
        called(b"h\x00"),
        called(b"\x94"),
        called(b"0"),
        called(b"(K\x01u"),
        called(b"K\x01K\x01a"),
        called(b"}]K\x01s"),
        called(b"T\xff\xff\xff\xffa"),
        called(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa"),
        called(b"\x8c\x01\xff"),
        called(b"\x8b\xff\xff\xff\x7fa"),
        b"L" + b"9" * 5000 + b"L\n.",
        b"I\n.",
        b"S'open\n.",
        b"Fnone\n.",
        called(BARE, b"(K\x01(\x8a\x05\x00\x00\x00\x00\x40t", F8, b"\x89C\x00tb"),
        called(BARE, b"(K\x01K\x02\x85", F8, b"\x89C\x08aaaaaaaatb"),
        called(
            BARE, b"(K\x01K\x01\x85", OBJECT_TYPE, b"\x89C\x08\x00\x00\x00\x00\x00\x00\x00\x00tb"
        ),
        called(BARE, b"(K\x01J\xff\xff\xff\xff\x85", F8, b"\x89C\x00tb"),
        called(BARE, b"(K\x01K\x01\x85N\x89C\x00tb"),
        called(b"cnumpy.core.multiarray\nscalar\n", OBJECT_TYPE, b"]K\x01a\x86R"),
        called(b"c_codecs\nencode\n\x8c\x01a\x8c\x05rot13\x86R"),
    ],
    ids=range(26),
)
def test_what_is_broken_is_refused(read, content):
    with pytest.raises(AnnotationError, match=r"data\.pkl' is no whole pickle"):
        read(content)


@pytest.mark.parametrize(
    ("name", "long", "behind"),
    [
        (b"ccollections\nOrderedDict\n", b"]" + b"(" + b"K\x01N\x86" * 2000 + b"e", b"\x85"),
        (b"c_codecs\nencode\n", b"V" + b"a" * 20_000 + b"\n", b"Vlatin1\n\x86"),
    ],
)
def test_many_calls_of_one_long_value_are_refused(read, monkeypatch, name, long, behind):
    monkeypatch.setattr(pickle_machine, "_FREE_WORK", 0)
    again = long + behind + b"q\x000" + name + b"q\x010]" + b"h\x01h\x00Ra" * 100 + b"."
    with pytest.raises(AnnotationError, match="the same long values again and again"):
        read(again)


@pytest.mark.parametrize("call", [False, True])
def test_numbers_of_one_hash_are_no_keys(read, call):
    keys = [place * (2**61 - 1) for place in range(1, 9)]
    data = (
        Calls(collections.OrderedDict, [[key, 0] for key in keys]) if call else dict.fromkeys(keys)
    )
    with pytest.raises(AnnotationError, match="is no whole pickle"):
        read(pickle.dumps(data, 2))


def test_a_state_is_written_into_the_memo_once(read):
    array = pickle.dumps(np.arange(3), 2)
    machine = Machine(array)
    machine.run()
    assert not any(
        isinstance(of, pickle_machine.Called) and of.places for of in machine.memo.values()
    )


def test_a_bomb_of_tuples_is_neither_hashed_nor_copied(read):
    doubled = b")" + b"2\x86" * 100
    assert isinstance(read(doubled + b"."), tuple)
    with pytest.raises(AnnotationError, match="no whole pickle"):
        read(b"}" + doubled + b"Ns.")


def test_steps_and_bytes_are_limited(read, monkeypatch):
    monkeypatch.setattr(pickle_machine, "MAX_STEPS", 100)
    with pytest.raises(AnnotationError, match="more than 100 instructions"):
        read(b"]" * 200 + b".")
    monkeypatch.setattr(pickles, "MAX_BYTES", 100)
    with pytest.raises(AnnotationError, match="201 bytes: of a pickle at most 100"):
        read(b"]" * 200 + b".")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(AnnotationError, match="cannot read"):
        read_pickle(tmp_path / "none.pkl")
    with pytest.raises(AnnotationError, match="cannot read"):
        read_pickle(tmp_path)


def mutated(content, seed):
    draw = random.Random(seed)
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


ENTRY = {
    0: {
        "bbox": np.array([[1.0, 2.0, 3.0, 4.0]]),
        "segmentation": [{"size": [4, 5], "counts": b"1234"}],
        "names": np.array(["a", {"b": 1}], dtype=object),
        "text": "é",
        "n": np.int64(3),
        "more": collections.OrderedDict(a=(1, 2.5, None)),
    }
}


def outcome(content):
    """Follow the machine without a file; anything but data or a known error is a fault."""
    try:
        return pickles._data("fuzzed.pkl", content)
    except AnnotationError as error:
        return str(error)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_random_bytes_never_do_harm(content):
    outcome(content)
    outcome(b"\x80\x04" + content + b".")


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from(PROTOCOLS))
def test_altered_pickles_never_do_harm(seed, protocol):
    outcome(mutated(pickle.dumps(ENTRY, protocol), seed))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncated_pickles_are_refused(protocol):
    content = pickle.dumps(ENTRY, protocol)
    for length in range(len(content)):
        assert "no whole pickle" in outcome(content[:length])


def test_a_pickled_npy(tmp_path):
    path = tmp_path / "pairs.npy"
    np.save(path, {"0_1": "labels/a.json"})
    assert read_pickled_npy(path) == {"0_1": "labels/a.json"}


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.arange(3), "got an array of numbers"),
        (np.array({"a": Calls(os.system, "true")}, dtype=object), "asks for '[a-z]*.system'"),
    ],
    ids=["numbers", "code"],
)
def test_other_npys_are_refused(tmp_path, array, says):
    path = tmp_path / "pairs.npy"
    np.save(path, array)
    with pytest.raises(AnnotationError, match=says):
        read_pickled_npy(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY\x01\x00\xff", b"\x93NUMPY\x09\x00\xff\xff"]
)
def test_what_is_no_npy_is_refused(tmp_path, content):
    path = tmp_path / "pairs.npy"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"no \.npy file|array of numbers"):
        read_pickled_npy(path)


def test_every_instruction_of_python_is_known_or_refused():
    opcodes = {getattr(pickle, name) for name in pickle.__all__ if name.isupper()}
    opcodes = {code for code in opcodes if isinstance(code, bytes) and len(code) == 1} - {b"."}
    known = pickle_machine._STEPS.keys() | pickle_machine._REFUSED.keys()
    assert opcodes == set(known)


def test_no_name_is_ever_imported(read, monkeypatch):
    def never(*_):
        raise AssertionError

    content = pickle.dumps([ENTRY, np.float32(1)], 2)
    monkeypatch.setattr(builtins, "__import__", never)
    assert Machine(content).run()[1] == 1.0
