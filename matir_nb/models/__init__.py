"""Adapters of the three kinds of model; `base` holds their protocols."""
