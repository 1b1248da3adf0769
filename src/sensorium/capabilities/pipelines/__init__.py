"""Pipelines: several operations and models as one call, declared as data."""
