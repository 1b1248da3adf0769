"""Chat templates: strangers' programs that turn conversations into prompts."""
