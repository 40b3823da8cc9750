"""The version, in one place; knows nothing else."""

__version__ = "0.1.0"
