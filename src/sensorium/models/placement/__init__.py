"""Where a loaded model lives: in this process, or in one of its own."""
