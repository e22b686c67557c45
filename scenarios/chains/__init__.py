"""Reports of a chain: exposures and surface."""
