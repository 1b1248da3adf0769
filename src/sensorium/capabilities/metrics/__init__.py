"""Metrics: points that left their expected band, and where a series is going."""
