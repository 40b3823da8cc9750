"""The calibrations of judges that are kept with an index: a small JSON file, by model id.

They are no part of the index: its fingerprint does not change, and without the file every judge
speaks for itself. This module knows no judge and no formula.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from matir_nb.config import JudgeConfig
from matir_nb.errors import ConfigError
from matir_nb.index.manifest import fingerprint_of

FILE_NAME = "calibration.json"
"""Beside the manifest of an index."""
VERSION = 1
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What comes of a file that was altered."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the log-odds of one judge are worth in one index.

    Attributes:
        judge: model id.
        scale: what its log-odds are multiplied by, > 0.
        bias: what is then added.
        n_relevant: marks it is fitted on.
        n_not_relevant: marks it is fitted on.
        log_loss_before: of the judge's own p on those marks, nats.
        log_loss_after: of the calibrated p on the same marks.
    """

    judge: str
    scale: float
    bias: float
    n_relevant: int
    n_not_relevant: int
    log_loss_before: float
    log_loss_after: float

    def of(self, config: JudgeConfig) -> JudgeConfig:
        """Return the options of stage 2 with this calibration."""
        return replace(config, calibration_scale=self.scale, calibration_bias=self.bias)

    def __str__(self) -> str:
        """Return two lines: the formula and what it is made of, and the loss."""
        n = self.n_relevant + self.n_not_relevant
        sign = "-" if self.bias < 0 else "+"
        formula = f"p = sigmoid({self.scale:.4g} × log-odds {sign} {abs(self.bias):.4g})"
        losses = f"{self.log_loss_before:.4f} → {self.log_loss_after:.4f}"
        return (
            f"{formula} for {self.judge}\n"
            f"from {n} marks ({self.n_relevant} relevant); log loss on them {losses}"
        )


class Calibrations:
    """The file of an index; read whenever it is asked, so that no engine goes by an old one."""

    def __init__(self, index: Path) -> None:
        """Use the file in the folder of an index; it need not be there."""
        self._file = index / FILE_NAME

    def all(self) -> dict[str, Calibration]:
        """Return model id -> calibration.

        Raises:
            ConfigError: the file is damaged, or a newer version wrote it.
        """
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
            version = int(document["version"])
            if version <= VERSION:
                checksum = fingerprint_of(document["judges"])
                if document.get("checksum", checksum) != checksum:
                    raise ValueError("its checksum is wrong")
                return {name: _calibration(name, v) for name, v in document["judges"].items()}
        except FileNotFoundError:
            return {}
        except DAMAGE as error:
            message = f"{str(self._file)!r} cannot be read ({error}): remove it, calibrate again"
            raise ConfigError(message) from error
        message = f"{str(self._file)!r} was written by a newer matir_nb: update matir_nb"
        raise ConfigError(message)

    def get(self, judge_id: str) -> Calibration | None:
        """Return the calibration of a judge; None = it has none.

        Raises:
            ConfigError: the file cannot be read.
        """
        return self.all().get(judge_id)

    def put(self, calibration: Calibration) -> None:
        """Keep a calibration in place of the judge's older one.

        Raises:
            ConfigError: the file cannot be read or written.
        """
        self._write(self.all() | {calibration.judge: calibration})

    def forget(self, judge_id: str) -> bool:
        """Let a judge speak for itself again; return whether it had a calibration.

        Raises:
            ConfigError: the file cannot be read or written.
        """
        known = self.all()
        if judge_id not in known:
            return False
        del known[judge_id]
        self._write(known)
        return True

    def _write(self, known: dict[str, Calibration]) -> None:
        judges = {name: _plain(calibration) for name, calibration in sorted(known.items())}
        document = {"version": VERSION, "checksum": fingerprint_of(judges), "judges": judges}
        text = json.dumps(document, indent=1)
        part = self._file.with_name(f"{FILE_NAME}.{token_hex(4)}")
        try:
            part.write_text(text + "\n", encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            message = f"cannot write {str(self._file)!r}: {error.strerror}"
            raise ConfigError(message) from error
        finally:
            part.unlink(missing_ok=True)


def _plain(calibration: Calibration) -> dict[str, Any]:
    values = asdict(calibration)
    del values["judge"]
    return values


def _calibration(judge_id: str, values: dict[str, Any]) -> Calibration:
    made = Calibration(judge_id, **values)
    numbers = (made.scale, made.bias, made.log_loss_before, made.log_loss_after)
    counts = (made.n_relevant, made.n_not_relevant)
    if not all(type(n) is int for n in counts) or not all(math.isfinite(v) for v in numbers):
        message = f"the calibration of {judge_id!r} holds something else than numbers"
        raise ValueError(message)
    made.of(JudgeConfig())
    return made
