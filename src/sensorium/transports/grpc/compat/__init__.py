"""Services that clients of other systems already call."""
