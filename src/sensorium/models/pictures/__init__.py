"""Pictures: fetched from where the public can see them, and decoded within bounds."""
