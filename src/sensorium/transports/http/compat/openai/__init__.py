"""OpenAI's protocol under `/v1`, as its own clients speak it."""
