"""Model files: fetched, listed, checked, placed and run. Knows tensors and tokens, not senses."""
