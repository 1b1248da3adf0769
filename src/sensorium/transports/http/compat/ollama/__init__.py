"""Ollama's protocol under `/api`, as its own clients speak it."""
