"""OpenAI's newer interface to conversations, `/v1/responses`."""
