"""An opened picture's metadata → `FileFacts`: what is said there, where it can be believed.

Metadata is often broken, and never a reason to lose the picture: a field that is absent, of a
wrong type, no finite number or absurd is None, and nothing here raises. Facts cross from the
decoding process as JSON. This module knows no folder and decodes no pixels.

The tags are those of Exif 2.32 (CIPA DC-008).
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from numbers import Real
from typing import Any, TypeVar

from PIL import Image

from matir_nb.types import FileFacts

MAKE, MODEL = 0x010F, 0x0110
EXIF, GPS = 0x8769, 0x8825
EXPOSURE, F_NUMBER, FOCAL, TAKEN, LENS = 0x829A, 0x829D, 0x920A, 0x9003, 0xA434
ISO, ISO_INDEX, ISO_SPEED = 0x8827, 0x8832, 0x8833
LATITUDE, LONGITUDE = 2, 4
"""Each stands behind the tag that says N or S, E or W."""
ISO_SAYS_ELSEWHERE = 65535

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEARS = range(1826, 10_000)
"""The first photograph that is left is of 1826 or 1827."""
MAX_CHARACTERS = 200
MAX_FACTS_BYTES = 8192
"""Above the longest JSON of facts: three texts of 200 characters and ten short values."""
DATE = re.compile(r"\s*(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?", re.ASCII)

Fact = TypeVar("Fact")
Tags = Mapping[int, Any]


def facts_of(image: Image.Image) -> FileFacts:
    """Return what a loaded picture says of itself; sizes and dates of the file are not known."""
    tags = _try(image.getexif) or Image.Exif()
    exif: Tags = _try(lambda: tags.get_ifd(EXIF)) or {}
    gps: Tags = _try(lambda: tags.get_ifd(GPS)) or {}
    return FileFacts(
        format=_try(lambda: _text(image.format)),
        taken=_try(lambda: _date(exif.get(TAKEN))),
        camera=_try(lambda: _camera(tags.get(MAKE), tags.get(MODEL))),
        lens=_try(lambda: _text(exif.get(LENS))),
        iso=_try(lambda: _iso(exif)),
        exposure_s=_try(lambda: _positive(exif.get(EXPOSURE), 1e7)),
        f_number=_try(lambda: _positive(exif.get(F_NUMBER), 1e4)),
        focal_mm=_try(lambda: _positive(exif.get(FOCAL), 1e6)),
        latitude=_try(lambda: _degrees(gps, LATITUDE, {"N": 1, "S": -1}, 90)),
        longitude=_try(lambda: _degrees(gps, LONGITUDE, {"E": 1, "W": -1}, 180)),
    )


def of_file(facts: FileFacts, status: os.stat_result) -> FileFacts:
    """Return `facts` with the size and date of the file."""
    return replace(facts, n_bytes=status.st_size, modified=modified_of(status.st_mtime_ns))


def modified_of(mtime_ns: int) -> datetime | None:
    """Return when a file was last written, UTC, whole microseconds; None = no such year."""
    try:
        return EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        return None


def to_json(facts: FileFacts) -> bytes:
    """Return `facts` as at most `MAX_FACTS_BYTES` of UTF-8."""
    return json.dumps(asdict(facts), default=datetime.isoformat, ensure_ascii=False).encode()


def from_json(text: bytes) -> FileFacts:
    """Return the facts that `to_json` wrote."""
    fields = json.loads(text)
    dates = {name: fields[name] and datetime.fromisoformat(fields[name]) for name in DATES}
    return FileFacts(**fields | dates)


DATES = ("modified", "taken")


def _try(read: Callable[[], Fact | None]) -> Fact | None:
    """Return what `read` gives; None where it fails, for Pillow raises nearly anything."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - broken metadata is no reason to lose the picture
        return None


def _text(value: object) -> str | None:
    """Return one line of printable text, up to the first NUL; None where nothing is left."""
    if not isinstance(value, str):
        return None
    words = _as_utf8(value.partition("\0")[0]).split()
    text = "".join(char for char in " ".join(words) if char.isprintable())
    return text[:MAX_CHARACTERS].strip() or None


def _as_utf8(text: str) -> str:
    """Undo Pillow's reading of UTF-8 as Latin-1, where it was UTF-8."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _camera(make: object, model: object) -> str | None:
    """Return make and model; the make once, where the model begins with it, too."""
    maker, name = _text(make), _text(model)
    if maker is None or name is None:
        return maker or name
    repeats = name.casefold().split()[0] == maker.casefold().split()[0]
    return name if repeats else f"{maker} {name}"[:MAX_CHARACTERS]


def _date(value: object) -> datetime | None:
    found = DATE.match(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    if year not in YEARS:
        return None
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the camera's clock


def _number(value: object) -> float | None:
    """Return a finite number, also the first of several; a rational over 0 is none."""
    if isinstance(value, tuple) and value:
        value = value[0]
    if not isinstance(value, Real):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _positive(value: object, limit: float) -> float | None:
    """Return a number in (0, limit]; cameras write 0 for what they do not know."""
    number = _number(value)
    return number if number is not None and 0 < number <= limit else None


def _iso(exif: Tags) -> int | None:
    speeds = [_positive(exif.get(tag), 1e8) for tag in (ISO, ISO_INDEX, ISO_SPEED)]
    if speeds[0] == ISO_SAYS_ELSEWHERE:
        speeds = speeds[1:]
    found = next((speed for speed in speeds if speed is not None), None)
    return None if found is None else round(found) or None


def _degrees(gps: Tags, tag: int, signs: Mapping[str, int], limit: float) -> float | None:
    """Return degrees, minutes and seconds as degrees; None without the side of the globe."""
    sign = signs.get((_text(gps.get(tag - 1)) or "")[:1].upper())
    parts = [_number(part) for part in gps[tag]]
    if sign is None or not 1 <= len(parts) <= 3:
        return None
    degrees = 0.0
    # minutes and seconds round up to 60 at most
    for power, (part, most) in enumerate(zip(parts, (limit, 60, 60), strict=False)):
        if part is None or not 0 <= part <= most:
            return None
        degrees += part / 60**power
    return sign * degrees if degrees <= limit else None
