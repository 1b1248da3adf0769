"""Anthropic's protocol under `/v1/messages`, as its own clients speak it."""
