"""Documents and bytes that were altered, for the fuzz tests of files."""

import copy

from hypothesis import strategies as st

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**31, 2**53 + 1, 2**63, 2**64, -(2**70), 10**400]),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["", ".", "..", "../000001", "/", "000001", "000009", "\x00", "\ud800", "٣"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(document, at=()):
    """Return the path of every value within a document, in order."""
    items = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    return [at, *(place for key, value in items for place in places(value, (*at, key)))]


@st.composite
def changed(draw, document, *, n=3):
    """Draw `document` with up to `n` values replaced, taken away, doubled or swapped."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, n))):
        place = draw(st.sampled_from(places(document)[1:] or [None]))
        if place is None:
            break
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        key = place[-1]
        match draw(st.sampled_from(["replace", "drop", "nest", "double", "swap"])):
            case "replace":
                holder[key] = draw(values)
            case "drop":
                del holder[key]
            case "nest":
                holder[key] = draw(st.sampled_from([[holder[key]], {"a": holder[key]}]))
            case "double" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case "swap":
                other = draw(st.sampled_from(places(document)))
                found = document
                for step in other:
                    found = found[step]
                holder[key] = copy.deepcopy(found)
    return document


@st.composite
def damaged(draw, content):
    """Draw bytes with some of them cut off, flipped, replaced or put in."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["cut", "flip", "insert", "remove", "overwrite"])):
            case "cut":
                del content[at:]
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                content[at:at] = draw(st.one_of(st.binary(max_size=8), st.sampled_from(ODD)))
            case "remove":
                del content[at : at + draw(st.integers(1, 40))]
            case "overwrite":
                new = draw(st.binary(min_size=1, max_size=8))
                content[at : at + len(new)] = new
    return bytes(content)


ODD = (b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"\xff\xfe")
ODD += (b'"dim": 3, ', b'"checksum": "0", ', b"\\ud800", b"\x00", b"\xef\xbb\xbf")
