"""Short scripts that do with Python what a scenario file does."""
