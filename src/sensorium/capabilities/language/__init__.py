"""Language: conversations, texts, and what texts mean."""
