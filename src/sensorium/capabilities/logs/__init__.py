"""Log lines: patterns, what changed between two sets of lines, and a watch over a stream."""
