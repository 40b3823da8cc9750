"""Every error the library raises on purpose.

::

    MatirError
    ├── ConfigError (ValueError)            an option, preset or argument is wrong
    ├── QueryError (ValueError)             a query is empty, or longer than the text encoder reads
    ├── ImageError (OSError)                a picture cannot be read, or exceeds the limits
    ├── ShapeError (ValueError)             an array has another shape or dtype than promised
    ├── IndexNotFoundError (FileNotFoundError)   no index at that path
    ├── IndexCorruptError (OSError)         an index file is truncated or altered
    ├── IndexMismatchError (ValueError)     the index was made by other models or a newer version
    ├── ModelUnavailableError (RuntimeError)     weights or a package are missing
    ├── AnnotationError (ValueError)        a mask or annotation file cannot be used
    └── AnswerParseError (ValueError)       a model's words hold no answer

A message says what is wrong, the value got, and what to do. This module knows nothing else.
"""


class MatirError(Exception):
    """Base of every error that matir_nb raises on purpose."""


class ConfigError(MatirError, ValueError):
    """An option, preset or argument has a value that cannot be used."""


class QueryError(MatirError, ValueError):
    """A query is empty, or longer than the text encoder reads."""


class ImageError(MatirError, OSError):
    """A picture cannot be read, or exceeds the limits."""


class ShapeError(MatirError, ValueError):
    """An array has another shape or dtype than promised."""


class IndexNotFoundError(MatirError, FileNotFoundError):
    """There is no index at the path."""


class IndexCorruptError(MatirError, OSError):
    """An index file is truncated or altered."""


class IndexMismatchError(MatirError, ValueError):
    """The index was made by other models, another configuration or a newer version."""


class ModelUnavailableError(MatirError, RuntimeError):
    """Model weights or a package that a model needs are missing."""


class AnnotationError(MatirError, ValueError):
    """A mask or annotation file cannot be used."""


class AnswerParseError(MatirError, ValueError):
    """A model's words hold no answer."""
