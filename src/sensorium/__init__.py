"""Sensorium: one self-hosted inference server behind one set of typed operations."""
