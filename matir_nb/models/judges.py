"""Judges beside an engine's own: those that were asked for by name, or given."""

from matir_nb.config import ComputeConfig
from matir_nb.errors import ConfigError
from matir_nb.models.base import Judge, RegionEncoder
from matir_nb.models.registry import load_judge


class Judges:
    """Loads a judge when it is asked for, and knows all that have been."""

    def __init__(
        self, encoder: RegionEncoder, device: str, compute: ComputeConfig | None = None
    ) -> None:
        """Start with none.

        Args:
            encoder: the index's, for judges that compare words with stored vectors.
            device: where a judge that is loaded runs.
            compute: how it computes; None = the defaults.
        """
        self._encoder, self._device, self._compute = encoder, device, compute
        self._named: dict[str, Judge | None] = {}
        self._given: dict[str, Judge] = {}

    def choose(
        self,
        choice: bool | str | Judge | None,  # noqa: FBT001
        own: Judge | None,
    ) -> Judge | None:
        """Return the judge that a search means; None = stage 1 only.

        Args:
            choice: None = the engine's own; False = none; or a name, or another judge.
            own: the engine's.

        Raises:
            ConfigError: there is none of that name, or the engine has none.
        """
        if choice is None or choice is True:
            if choice and own is None:
                message = "judge=True, but this engine was opened without one: give a judge by name"
                raise ConfigError(message)
            return own
        if choice is False:
            return None
        if isinstance(choice, str):
            if choice not in self._named:
                self._named[choice] = load_judge(choice, self._encoder, self._device, self._compute)
            return self._named[choice]
        self._given[choice.model_id] = choice
        return choice

    def with_id(self, model_id: str | None, own: Judge | None) -> Judge:
        """Return the judge with `model_id`; None = any, the engine's own before others.

        Raises:
            ConfigError: there is none.
        """
        everyone = (own, *self._named.values(), *self._given.values())
        here = [judge for judge in everyone if judge is not None]
        found = next((judge for judge in here if model_id in (None, judge.model_id)), None)
        if found is None:
            there = ", ".join(repr(judge.model_id) for judge in here) or "none"
            message = (
                f"the result's judge {model_id!r} is not here (this engine has {there}): "
                "open the index with that judge"
            )
            raise ConfigError(message)
        return found
