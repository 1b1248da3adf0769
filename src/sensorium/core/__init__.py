"""The bottom floor: what an operation is, and everything that every other floor speaks in."""
