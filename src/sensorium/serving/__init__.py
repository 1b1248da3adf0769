"""A wired server, opened: its doors side by side, over one pool and one state."""
