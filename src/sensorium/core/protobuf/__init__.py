"""Structs as protocol buffer messages: their layout, their field numbers, to bytes and back."""
