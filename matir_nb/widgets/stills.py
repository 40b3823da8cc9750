"""A still picture before a live view, which hides it: what is left where no kernel runs."""

from collections.abc import Callable
from typing import Any

from matir_nb.errors import MatirError
from matir_nb.extras import kernel_shell
from matir_nb.home.settings import load
from matir_nb.printing import printable

MAX_ALT = 200


def show(view: Any, draw: Callable[[], bytes | None], *, alt: str) -> None:
    """Show a picture, then `view`; for a view's `_ipython_display_`.

    Args:
        view: a widget.
        draw: makes the picture, a JPEG that the view hides; None = there is nothing to draw.
        alt: says what the picture shows.

    Raises:
        NotImplementedError: there is no kernel or no picture, the view is closed, or the user's
            setting `preview` is "never": IPython shows the view as it shows any other.
    """
    shell = kernel_shell()
    if shell is None or view.comm is None or load().preview == "never":
        raise NotImplementedError
    try:
        picture = draw()
    except MatirError as error:
        raise NotImplementedError from error
    if picture is None:
        raise NotImplementedError
    text = alt_of(alt)
    data = {"image/jpeg": picture, "text/plain": text}
    shell.display_pub.publish(data, {"image/jpeg": {"alt": text}})
    shell.display_pub.publish(*view._repr_mimebundle_())


def alt_of(words: str) -> str:
    """Return the text that stands for a picture."""
    return f"matir preview: {printable(words)[:MAX_ALT]}"
