"""Supervised worker processes: they move bytes and know nothing of what the bytes mean."""
