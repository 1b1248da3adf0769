"""Logs recorded from real runs, each with one hand-made event label per line."""
