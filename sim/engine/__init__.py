"""A whole run: prepared, compiled, run on every device, collected."""
