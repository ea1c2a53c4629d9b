"""Language models behind an OpenAI-compatible chat-completions endpoint."""
