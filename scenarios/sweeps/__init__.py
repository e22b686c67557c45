"""A scenario over a grid of its keys."""
