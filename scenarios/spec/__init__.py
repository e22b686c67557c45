"""A scenario file becomes a Scenario."""
