"""The dialogue service: turns, history, prompt and the language model."""
