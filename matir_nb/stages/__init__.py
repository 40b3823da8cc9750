"""The stages of a search: retrieve, judge, align."""
