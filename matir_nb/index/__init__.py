"""The index on disk: built once, opened as a read-only snapshot."""
