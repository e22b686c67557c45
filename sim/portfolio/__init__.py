"""A portfolio of the user's own under the simulated prices."""
