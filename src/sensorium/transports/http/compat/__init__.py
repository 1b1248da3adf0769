"""Addresses that clients of other systems already use."""
