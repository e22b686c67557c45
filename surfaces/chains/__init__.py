"""Quotes of one instant: read, their forwards and their vols."""
