"""The models on disk: what there is, where each came from, and which are worth fetching."""
