"""How an Alpha-CLIP folder is used: what is shown of a region, and what a cosine is worth.

This module knows no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matir_nb.errors import ModelUnavailableError
from matir_nb.models.clip_text import CLIP_LOG_ODDS
from matir_nb.models.folder_options import stored_options
from matir_nb.models.views import Framing, framings
from matir_nb.types import LogOdds


@dataclass(frozen=True, slots=True)
class Options:
    """How a folder's model is used; kept beside the weights, in matir.json.

    Attributes:
        framings: what is shown of a region; its vector is the mean over all of them.
        n_turns: and over so many quarter turns of each: 1 as published, 4 where a shape is the
            same at any angle.
        log_odds: what a cosine is worth.
    """

    framings: tuple[Framing, ...]
    n_turns: int
    log_odds: LogOdds

    def __post_init__(self) -> None:
        """Check the turns.

        Raises:
            ValueError: there is none.
        """
        if self.n_turns < 1:
            message = f"n_turns = {self.n_turns}: give a whole number >= 1"
            raise ValueError(message)

    def described(self) -> dict[str, Any]:
        """Return all that decides the vectors, for the model's id."""
        shown = [framing.described() for framing in self.framings]
        return {"view": shown[0] if len(shown) == 1 else shown, "n_turns": self.n_turns}


def read_options(
    folder: Path, options: Mapping[str, Any] | None = None, view: str = "own"
) -> Options:
    """Return the options in a folder's matir.json; what it does not say is as published.

    Args:
        folder: of a model.
        options: replace those of matir.json.
        view: see `EncodeConfig`.

    Raises:
        ModelUnavailableError: the file cannot be read, or an option cannot be used.
    """
    path = folder / "matir.json"
    used = {"view": "crop", "n_turns": 1, **stored_options(folder), **(options or {})}
    try:
        odds = used.get("log_odds")
        return Options(
            framings(used["view"] if view == "own" else view),
            int(used["n_turns"]),
            LogOdds(**odds) if odds else CLIP_LOG_ODDS,
        )
    except (ValueError, LookupError, TypeError) as error:
        message = f"the options of the model in {str(path)!r} cannot be used: {error!r}"
        raise ModelUnavailableError(message) from error
