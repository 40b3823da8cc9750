from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from matir_nb.index.changes import (
    Fresh,
    KnownFile,
    Rewrite,
    SeenFile,
    changes_of,
    files_to_hash,
)

DAY = datetime(2026, 3, 1, 9, tzinfo=UTC)
NOW = 1_772_355_600_000_000_000
SECOND = 1_000_000_000


def known(fingerprint, *copies, n_bytes=10, modified=DAY):
    return KnownFile(fingerprint, n_bytes, modified, copies)


def seen(n_bytes=10, modified=DAY):
    return SeenFile(n_bytes, modified)


def test_the_time_of_a_file_is_kept_to_the_microsecond():
    file = SeenFile.at(5, NOW - 3 * SECOND + 1999, now_ns=NOW)
    assert file == SeenFile(5, DAY - timedelta(seconds=3, microseconds=-1))
    assert file.kept_time == file.modified
    assert file.is_still(KnownFile("x", 5, file.kept_time))


def test_a_file_written_just_now_is_read_again_by_the_next_build():
    recent = SeenFile.at(5, NOW - SECOND, now_ns=NOW)
    assert recent.is_recent
    row = KnownFile("x", 5, recent.kept_time)
    later = SeenFile.at(5, NOW - SECOND, now_ns=NOW + 60 * SECOND)
    assert not recent.is_still(row)
    assert not later.is_still(row)
    assert later.is_still(KnownFile("x", 5, later.kept_time))


def test_a_time_of_the_future_is_recent_and_one_beyond_calendars_not_known():
    assert SeenFile.at(5, NOW + 60 * SECOND, now_ns=NOW).is_recent
    beyond = SeenFile.at(5, 10**21, now_ns=NOW)
    assert (beyond.modified, beyond.kept_time) == (None, None)
    assert not beyond.is_still(KnownFile("x", 5, None))
    assert SeenFile.at(5, -SECOND, now_ns=NOW).modified == datetime(
        1969, 12, 31, 23, 59, 59, tzinfo=UTC
    )


def test_a_folder_without_duplicates_is_not_hashed():
    files = {f"{n}.jpg": seen(n) for n in range(1, 6)}
    assert files_to_hash({}, files) == []
    rows = {name: known(name, n_bytes=file.n_bytes) for name, file in files.items()}
    assert files_to_hash(rows, files) == []
    assert files_to_hash(rows, files, rehash=True) == list(files)


def test_files_of_one_size_touched_files_and_copies_are_hashed():
    files = {
        "a": seen(1),
        "b": seen(1),
        "c": seen(2),
        "d": seen(3, DAY + timedelta(1)),
        "e": seen(4),
    }
    rows = {"d": known("D", n_bytes=3), "e": known("E", "f", n_bytes=4)}
    assert files_to_hash(rows, files) == ["a", "b", "d"]
    files["f"] = seen(4)
    assert files_to_hash(rows, files) == ["a", "b", "d", "f"]
    files["g"] = SeenFile(None)
    assert files_to_hash(rows, files) == ["a", "b", "d", "f"]
    assert files_to_hash({}, files, by_name=True) == []


def test_where_a_row_has_no_size_every_new_file_may_be_its():
    rows = {"gone": known("G", n_bytes=None, modified=None)}
    assert files_to_hash(rows, {"new": seen(77)}) == ["new"]


def test_what_did_not_change_is_not_touched():
    rows = {"a": known("A"), "b": known("B", n_bytes=11)}
    files = {"a": seen(), "b": seen(11)}
    found = changes_of(rows, files, {})
    assert (found.gone, found.rewrites, found.fresh) == (frozenset(), (), ())
    assert (found.n_unchanged, found.n_moved) == (2, 0)


def test_a_touched_file_gets_its_new_time_and_nothing_else():
    later = DAY + timedelta(hours=1)
    found = changes_of({"a": known("A")}, {"a": seen(modified=later)}, {"a": "A"})
    assert found.rewrites == ((Rewrite("a", "a", known("A", modified=later)),),)
    assert (found.fresh, found.n_unchanged, found.n_moved, found.moved) == ((), 1, 0, {})


def test_a_moved_file_is_its_row_under_another_name():
    found = changes_of({"a": known("A")}, {"b": seen()}, {"b": "A"})
    assert found.rewrites == ((Rewrite("a", "b", known("A")),),)
    assert (found.gone, found.fresh, found.n_unchanged, found.n_moved) == (frozenset(), (), 0, 1)
    assert found.moved == {"a": "b"}


def test_copies_are_one_row_under_the_first_name():
    files = dict.fromkeys(["b", "c", "a"], seen())
    found = changes_of({}, files, dict.fromkeys(files, "A"))
    assert found.fresh == (Fresh(("a", "b", "c"), "A"),)
    found = changes_of({"b": known("A")}, files, dict.fromkeys(files, "A"))
    assert found.rewrites == ((Rewrite("b", "a", known("A", "b", "c")),),)


def test_a_copy_takes_over_from_a_row_that_is_gone():
    found = changes_of(
        {"a": known("A", "b", "c")}, {"b": seen(), "c": seen()}, {"b": "A", "c": "A"}
    )
    assert found.rewrites == ((Rewrite("a", "b", known("A", "c")),),)
    assert (found.gone, found.fresh) == (frozenset(), ())


def test_new_changed_and_gone():
    rows = {"a": known("A"), "b": known("B"), "c": known("C")}
    files = {"b": seen(12), "c": seen(), "d": seen(99)}
    found = changes_of(rows, files, {"b": "new B"})
    assert found.gone == {"a"}
    assert found.fresh == (Fresh(("b",), "new B"), Fresh(("d",), None))
    assert (found.rewrites, found.n_unchanged) == ((), 1)


def test_a_file_that_cannot_be_read_is_one_of_its_own():
    rows = {"a": known("A"), "b": known("B")}
    found = changes_of(rows, {"a": seen(), "b": SeenFile(None)}, {"a": None})
    assert found.fresh == (Fresh(("a",), None), Fresh(("b",), None))
    assert found.gone == frozenset()


def test_names_that_change_places_go_together_and_chains_from_their_end():
    rows = {name: known(name.upper()) for name in "abcd"}
    files = {name: seen() for name in "abcd"}
    (circle,) = changes_of(rows, files, {"a": "B", "b": "A", "c": "C", "d": "D"}).rewrites
    assert {(step.old, step.new) for step in circle} == {("a", "b"), ("b", "a")}
    chain = changes_of(rows, {n: seen() for n in "bcde"}, dict(zip("bcde", "ABCD", strict=True)))
    moves = [[(step.old, step.new) for step in group] for group in chain.rewrites]
    assert moves == [[("d", "e")], [("c", "d")], [("b", "c")], [("a", "b")]]


def test_rows_of_the_same_bytes_become_one():
    rows = {"b": known("A"), "c": known("A")}
    found = changes_of(rows, {"b": seen(), "c": seen()}, {})
    assert found.gone == {"c"}
    assert found.rewrites == ((Rewrite("b", "b", known("A", "c")),),)


def test_where_names_matter_nothing_moves_and_there_are_no_copies():
    rows = {"a": known("A"), "b": known("A")}
    found = changes_of(rows, {"a": seen(), "b": seen(), "c": seen()}, {}, by_name=True)
    assert (found.rewrites, found.fresh, found.n_unchanged) == ((), (Fresh(("c",), None),), 2)
    moved = changes_of({"a": known("A")}, {"b": seen()}, {"b": "A"}, by_name=True)
    assert (moved.gone, moved.fresh) == ({"a"}, (Fresh(("b",), "A"),))


# any history of a folder ends in the index of its last state

NAMES = "abcdef"
BROKEN = 4
"""A content that no decoder reads."""


@dataclass(frozen=True)
class OnDisk:
    content: int
    mtime_ns: int

    @property
    def size(self):
        return self.content // 2


def act(folder, action, clock):
    """Return the folder after one action of its owner."""
    kind, name, other, content = action
    folder = dict(folder)
    if kind == "write":
        folder[name] = OnDisk(content, clock // (2 * SECOND) * 2 * SECOND)
    elif name in folder:
        item = folder[name] if kind == "copy" else folder.pop(name)
        if kind != "delete":
            folder[other] = item
    return folder


def look(folder, clock):
    return {n: SeenFile.at(f.size, f.mtime_ns, now_ns=clock) for n, f in sorted(folder.items())}


def build(rows, folder, clock, *, by_name):
    """Return the rows after a build, as `matir_nb.index.build` goes about it."""
    files = look(folder, clock)
    asked = files_to_hash(rows, files, by_name=by_name)
    digests = {name: str(folder[name].content) for name in asked}
    changes = changes_of(rows, files, digests, by_name=by_name)
    table = {name: file for name, file in rows.items() if name not in changes.gone}
    for group in changes.rewrites:
        taken = {step.old: table.pop(step.old) for step in group}
        for step in group:
            assert step.new not in table
            assert taken[step.old].fingerprint == step.file.fingerprint
            table[step.new] = step.file
    contents = {file.fingerprint for file in rows.values()}
    n_dropped = len(rows) - len(table)
    for picture in changes.fresh:
        main, *copies = picture.image_ids
        digest = str(folder[main].content)
        assert picture.fingerprint in (digest, None)
        assert by_name or digest not in contents, "the models saw this picture before"
        n_dropped += sum(table.pop(name, None) is not None for name in picture.image_ids)
        if folder[main].content != BROKEN:
            file = files[main]
            table[main] = KnownFile(digest, file.n_bytes, file.kept_time, tuple(copies))
    assert changes.n_unchanged + changes.n_moved + n_dropped == len(rows)
    return table


ACTIONS = st.tuples(
    st.sampled_from(["write", "write", "move", "copy", "delete"]),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.integers(0, 5),
)
STEPS = st.lists(
    st.tuples(st.sampled_from([SECOND // 2, SECOND, 7 * SECOND]), st.lists(ACTIONS, max_size=6)),
    min_size=1,
    max_size=5,
)


@given(steps=STEPS, by_name=st.booleans())
def test_any_history_ends_in_the_index_of_the_last_state(steps, by_name):
    rows, folder, clock = {}, {}, NOW
    for pause, actions in steps:
        before, built_at = folder, clock
        for action in actions:
            clock += pause
            folder = act(folder, action, clock)
        assume(not hidden(before, folder, built_at))
        rows = build(rows, folder, clock, by_name=by_name)
    last = build({}, folder, clock, by_name=by_name)
    assert rows == last
    names = [name for main, file in rows.items() for name in (main, *file.copies)]
    assert sorted(names) == sorted(n for n, f in folder.items() if f.content != BROKEN)


def hidden(before, after, built_at):
    """Tell whether a file took another's place and has its size and its time, long past."""
    return any(
        file != before.get(name, file)
        and (file.size, file.mtime_ns) == (before[name].size, before[name].mtime_ns)
        and file.mtime_ns <= built_at - 2 * SECOND
        for name, file in after.items()
    )
