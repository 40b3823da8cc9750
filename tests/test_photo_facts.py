import io
import os
import warnings
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from matir_nb.image_process import _read_answer
from matir_nb.image_worker import PIXELS_HEADER, REASON_HEADER
from matir_nb.images import SkippedImage, read_files, read_folder
from matir_nb.photo_facts import (
    MAX_FACTS_BYTES,
    facts_of,
    from_json,
    modified_of,
    of_file,
    to_json,
)
from matir_nb.types import FileFacts

clock = datetime.fromisoformat
MAKE, MODEL, CHANGED = 0x010F, 0x0110, 0x0132
TAKEN, LENS, ISO, EXPOSURE, F_NUMBER, FOCAL = 0x9003, 0xA434, 0x8827, 0x829A, 0x829D, 0x920A
ISO_SPEED = 0x8833
EXIF, GPS = 0x8769, 0x8825
AT_HOME = {1: "S", 2: (33.0, 51.0, 36.0), 3: "W", 4: (70.0, 30.0, 0.0)}
CAMERA = {TAKEN: "2024:05:01 13:45:59", LENS: "RF 50mm F1.8", ISO: 400, EXPOSURE: 0.004}
MEANT = FileFacts(
    taken=clock("2024-05-01 13:45:59"),
    camera="Canon EOS R5",
    lens="RF 50mm F1.8",
    iso=400,
    exposure_s=0.004,
    f_number=2.8,
    focal_mm=50.0,
    latitude=-33.86,
    longitude=-70.5,
)


def tagged(exif=(), gps=(), **top):
    """Return tags as a picture holds them."""
    tags = Image.Exif()
    tags[MAKE], tags[MODEL] = top.get("make", "Canon"), top.get("model", "Canon EOS R5")
    tags.get_ifd(EXIF).update(exif)
    tags.get_ifd(GPS).update(gps)
    return tags


class Holding:
    """What is asked of a picture, with tags that never went through a file."""

    format = "JPEG"

    def __init__(self, tags):
        self.getexif = lambda: tags


def said(exif=(), gps=(), **top):
    return facts_of(Holding(tagged(exif, gps, **top)))


def near(value):
    return pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_a_photograph_says_all_of_it(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    tags = tagged({**CAMERA, F_NUMBER: 2.8, FOCAL: 50.0}, AT_HOME)
    Image.new("RGB", (6, 4)).save(path, exif=tags.tobytes())
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    [(ref, _)] = read_folder(tmp_path)
    assert ref.facts.format == {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    assert ref.facts.n_bytes == path.stat().st_size
    assert ref.facts.modified == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    for name in ("taken", "camera", "lens", "iso"):
        assert getattr(ref.facts, name) == getattr(MEANT, name), name
    for name in ("exposure_s", "f_number", "focal_mm", "latitude", "longitude"):
        assert getattr(ref.facts, name) == near(getattr(MEANT, name)), name


def test_a_picture_without_tags_says_its_format_only(tmp_path):
    path = tmp_path / "a.gif"
    Image.new("L", (3, 3)).save(path)
    [(ref, _)] = read_files([path], root=tmp_path)
    assert ref.facts == of_file(FileFacts(format="GIF"), path.stat())


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON D70", "NIKON D70"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("Apple\0junk", "  iPhone \n 15\0", "Apple iPhone 15"),
        ("", "X", "X"),
        (" \0", "\0", None),
        (b"Canon", 7, None),
        ("\ud800\x07\u202ea", "", "a"),
        ("M\u00c3\u00bcller", "", "Müller"),
        ("Müller", "", "Müller"),
        ("m" * 900, "x" * 900, "m" * 200),
    ],
)
def test_the_camera_is_one_clean_text(make, model, camera):
    assert said(make=make, model=model).camera == camera


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("2024:05:01 13:45:59\0", clock("2024-05-01 13:45:59")),
        ("2024-05-01T13:45:59+02:00", clock("2024-05-01 13:45:59")),
        ("2024:05:01 13:45", clock("2024-05-01 13:45:00")),
        ("1826:01:01 00:00:00", clock("1826-01-01 00:00:00")),
        ("1825:12:31 23:59:59", None),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("2023:02:29 10:00:00", None),
        ("2024:05:01 24:00:00", None),
        ("٢٠٢٤:05:01 13:45:59", None),
        ("2024", None),
        (20240501, None),
        (b"2024:05:01 13:45:59", None),
    ],
)
def test_a_date_is_a_date_or_not_known(text, taken):
    assert said({TAKEN: text}).taken == taken


def test_the_date_of_a_change_is_not_when_it_was_taken():
    tags = tagged()
    tags[CHANGED] = "2024:05:01 13:45:59"
    assert facts_of(Holding(tags)).taken is None


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        (100, 100),
        ((200, 0), 200),
        (0, None),
        (-5, None),
        ("100", None),
        (10**12, None),
        (0.2, None),
    ],
)
def test_iso_is_a_whole_positive_number(value, iso):
    assert said({ISO: value}).iso == iso


def test_iso_above_16_bits_is_read_where_it_is_said():
    assert said({ISO: 65535, ISO_SPEED: 102400}).iso == 102400
    assert said({ISO: 65535}).iso is None


@pytest.mark.parametrize(
    "value",
    [
        IFDRational(1, 0),
        IFDRational(0, 0),
        IFDRational(0, 5),
        IFDRational(-1, 5),
        float("nan"),
        float("inf"),
        1e300,
        "1/50",
        b"\1\2",
        (),
        None,
        [1],
        10**400,
    ],
)
def test_what_is_no_sensible_number_is_not_known(value):
    facts = said({EXPOSURE: value, F_NUMBER: value, FOCAL: value})
    assert (facts.exposure_s, facts.f_number, facts.focal_mm) == (None, None, None)
    assert said({EXPOSURE: IFDRational(1, 50)}).exposure_s == near(0.02)


@pytest.mark.parametrize(
    ("gps", "latitude"),
    [
        ({1: "N", 2: (33.5, 0.0, 0.0)}, 33.5),
        ({1: "south\0", 2: (33, 30, 36)}, -33.51),
        ({1: "N", 2: (33.5,)}, 33.5),
        ({1: "N", 2: (90, 0, 0)}, 90),
        ({1: "N", 2: (90, 0, 1)}, None),
        ({1: "N", 2: (91, 0, 0)}, None),
        ({1: "N", 2: (33, 61, 0)}, None),
        ({1: "N", 2: (-33, 0, 0)}, None),
        ({1: "N", 2: (33, IFDRational(0, 0), 0)}, None),
        ({1: "N", 2: ()}, None),
        ({1: "N", 2: (1, 2, 3, 4)}, None),
        ({1: "N", 2: 33}, None),
        ({1: "N", 2: "33"}, None),
        ({2: (33, 0, 0)}, None),
        ({1: "E", 2: (33, 0, 0)}, None),
        ({1: 7, 2: (33, 0, 0)}, None),
        ({1: "N"}, None),
    ],
)
def test_a_place_on_the_globe_or_none(gps, latitude):
    assert said(gps=gps).latitude == (None if latitude is None else near(latitude))
    turned = {tag + 2: {"N": "E", "south\0": "west", "E": "N"}.get(v, v) for tag, v in gps.items()}
    if gps.get(2) not in ((91, 0, 0), (90, 0, 1)):
        assert said(gps=turned).longitude == (None if latitude is None else near(latitude))


def test_the_far_side_of_the_globe_is_on_it():
    assert said(gps={3: "W", 4: (180, 0, 0)}).longitude == -180
    assert said(gps={3: "W", 4: (180, 0, 1)}).longitude is None


class Broken:
    """A picture whose every answer fails."""

    def getexif(self):
        raise SyntaxError

    @property
    def format(self):
        raise RecursionError


def test_nothing_is_raised():
    assert facts_of(Broken()) == FileFacts()
    tags = tagged(CAMERA)
    tags.get_ifd = lambda _: 1 / 0
    assert facts_of(Holding(tags)) == FileFacts(format="JPEG", camera="Canon EOS R5")


@given(st.data())
def test_any_damage_of_the_tags_leaves_the_picture(data):
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "JPEG", exif=tagged({**CAMERA, FOCAL: 50.0}, AT_HOME))
    raw = bytearray(file.getvalue())
    begin, end = raw.index(b"Exif\0\0") + 6, raw.index(b"\xff\xdb")
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(begin, end - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(raw)) as image:
        image.load()
        facts = facts_of(image)
    assert from_json(to_json(facts)) == facts
    assert facts.latitude is None or -90 <= facts.latitude <= 90
    assert facts.iso is None or facts.iso > 0


texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        FileFacts,
        n_bytes=st.none() | st.integers(0, 2**63 - 1),
        modified=st.none() | st.datetimes(timezones=st.just(UTC)),
        format=texts,
        taken=st.none() | st.datetimes(),
        camera=texts,
        lens=texts,
        iso=st.none() | st.integers(1, 10**8),
        latitude=numbers,
    )
)
def test_facts_survive_the_way_between_processes(facts):
    assert from_json(to_json(facts)) == facts
    assert len(to_json(facts)) <= MAX_FACTS_BYTES


@pytest.mark.parametrize(
    ("said", "n_said"),
    [(b"{}", 2), (b"[]", 2), (b"{", 1), (b"\xff", 1), (b'{"a": 1}', 8), (b"", 9), (b"", 2**32 - 1)],
)
def test_a_worker_that_says_nonsense_counts_as_dead(said, n_said):
    header = PIXELS_HEADER.pack(b"P", 2, 1, n_said, bytes(32))
    assert _read_answer(io.BytesIO(header + said + bytes(6))) is None


def test_an_answer_is_read_back():
    facts = to_json(MEANT)
    header = PIXELS_HEADER.pack(b"P", 2, 1, len(facts), bytes(32))
    digest, image, read = _read_answer(io.BytesIO(header + facts + bytes(range(6))))
    assert (digest, image.tolist(), read) == ("00" * 32, [[[0, 1, 2], [3, 4, 5]]], MEANT)
    assert PIXELS_HEADER.size == REASON_HEADER.size


@pytest.mark.parametrize(
    ("nanoseconds", "modified"),
    [
        (0, "1970-01-01T00:00:00+00:00"),
        (-1, "1969-12-31T23:59:59.999999+00:00"),
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456+00:00"),
        (253402300799 * 10**9, "9999-12-31T23:59:59+00:00"),
    ],
)
def test_any_date_of_a_file_is_kept_to_the_microsecond(nanoseconds, modified):
    assert modified_of(nanoseconds) == clock(modified)


def test_a_date_of_a_file_beyond_the_calendar_is_not_known():
    assert modified_of(253402300800 * 10**9) is None


def test_the_collection_of_bad_pictures_says_what_is_sound(matir_data):
    read = {
        item[0].image_id: item[0].facts
        for item in read_folder(matir_data / "badimages" / "pillow")
        if not isinstance(item, SkippedImage)
    }
    phone = read["empty_gps_ifd.jpg"]
    assert (phone.camera, phone.iso) == ("Xiaomi Redmi Note 9S", 25600)
    assert (phone.exposure_s, phone.f_number, phone.focal_mm) == (near(1 / 14), 1.79, 4.74)
    assert (phone.latitude, phone.longitude, phone.lens) == (None, None, None)
    assert phone.taken == clock("2020-07-27 14:46:48")
    assert all(facts.format and facts.n_bytes and facts.modified for facts in read.values())
    assert sum(facts.camera is not None for facts in read.values()) == 4


def test_photographs_without_tags_have_sizes_and_dates(matir_data):
    folder = matir_data / "photos" / "coco_open"
    refs = [item[0] for item in read_files(sorted(folder.iterdir())[:3], root=folder)]
    for ref in refs:
        status = ref.path.stat()
        assert ref.facts == of_file(FileFacts(format="JPEG"), status)
