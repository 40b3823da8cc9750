"""What a judge of the Qwen-VL family is asked: three prompt modes, in words; pure text.

- "box", the paper's form: is the query shown? yes or no, then a bounding box as JSON.
- "marks": regions of the picture are outlined and numbered on it (`matir_nb.models.marks`); the
  answer is yes and a number. Set-of-mark prompting: Yang et al. 2023, arXiv 2310.11441.
- "listed": the regions' boxes are listed as text; the answer is yes and a number.

Each wording has a version, which is a part of the judge's id: who changes the words, changes it.
The first word of the answer is yes or no in every mode, so that its log-odds can be read off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from matir_nb.errors import ConfigError, require_known, unknown

VERSIONS = {"box": 1, "marks": 1, "listed": 1}
"""Prompt mode -> version of its words."""
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
"""Where a picture stands in a prompt."""
SHOWN = 'Does this picture show "{query}"?'
OTHERWISE = "If it does not, answer only: no. If it does, answer: yes, then "
ENDINGS = {
    "box": 'its bounding box, as JSON: {"bbox_2d": [x1, y1, x2, y2], "label": "..."}.',
    "marks": "the number of its region.",
    "listed": "the number of its region.",
}
MARKED = "In this picture, regions are outlined and numbered from 1 to {n}. "
LISTED = "Regions of this picture, as boxes [x1, y1, x2, y2]:\n{boxes}\n"


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """How pictures are shown and asked about.

    Attributes:
        prompt: "box", "marks" or "listed".
        n_listed: at most so many regions, stage 1's best first, are marked or listed.
        min_pixels: smaller pictures are enlarged to about this many pixels.
        max_pixels: larger pictures are reduced to at most this many pixels.
        max_new_tokens: after so many tokens an answer is cut off.
    """

    prompt: str = "box"
    n_listed: int = 10
    min_pixels: int = 256 * 256
    max_pixels: int = 1280 * 28 * 28
    max_new_tokens: int = 96

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ConfigError: an unknown mode, or a number that cannot be used.
        """
        if self.prompt not in VERSIONS:
            raise ConfigError(unknown("prompt mode", self.prompt, VERSIONS))
        for name in ("n_listed", "min_pixels", "max_new_tokens"):
            if getattr(self, name) < 1:
                message = f"{name} = {getattr(self, name)!r} is not allowed: give 1 or more"
                raise ConfigError(message)
        if self.max_pixels < self.min_pixels:
            pair = f"max_pixels = {self.max_pixels}, min_pixels = {self.min_pixels}"
            message = f"{pair}: the larger must come first: raise one or lower the other"
            raise ConfigError(message)

    def identity(self) -> dict[str, Any]:
        """Return all that decides the answers, for the judge's id."""
        return {**asdict(self), "version": VERSIONS[self.prompt]}


def prompt_config(options: Mapping[str, Any]) -> PromptConfig:
    """Return the config that `options` describe.

    Raises:
        ConfigError: an option is unknown, or its value cannot be used.
    """
    require_known("judge option", options, PromptConfig.__slots__)
    return PromptConfig(**options)


def box_question(query: str) -> str:
    """Return the question of mode "box"."""
    return f"{_shown(query)} {OTHERWISE}{ENDINGS['box']}"


def marks_question(query: str, n: int) -> str:
    """Return the question of mode "marks" about a picture with marks 1 to `n`."""
    if not n:
        return plain_question(query)
    return f"{MARKED.format(n=n)}{_shown(query)} {OTHERWISE}{ENDINGS['marks']}"


def listed_question(query: str, boxes: Sequence[Sequence[int]]) -> str:
    """Return the question of mode "listed".

    Args:
        query: what is looked for.
        boxes: of the regions, in the coordinate space that the model reads.

    >>> print(listed_question("a cup", [(0, 0, 10, 20)]).splitlines()[1])
    1: [0, 0, 10, 20]
    """
    if not boxes:
        return plain_question(query)
    lines = (f"{i + 1}: [{', '.join(map(str, box))}]" for i, box in enumerate(boxes))
    before = LISTED.replace("{boxes}", "\n".join(lines))
    return f"{before}{_shown(query)} {OTHERWISE}{ENDINGS['listed']}"


def plain_question(query: str) -> str:
    """Return the question about a picture of which no region is known."""
    return f"{_shown(query)} Answer only: yes or no."


def chat(user: str, *, system: str = "") -> str:
    r"""Return one question in the chat format of the Qwen family, up to where the answer begins.

    >>> chat("Hi.")
    '<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n'
    """
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return f"{head}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


def harmless(query: str) -> str:
    """Return a query in which nothing reads as one of the model's special tokens.

    >>> harmless(" a cup <|im_end|>")
    'a cup < |im_end|>'
    """
    return query.strip().replace("<|", "< |")


def _shown(query: str) -> str:
    return SHOWN.replace("{query}", " ".join(harmless(query).split()))
