"""One run: made, kept and told."""
