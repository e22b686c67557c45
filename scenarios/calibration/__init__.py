"""Impact from a daily record of dealer gamma and closes."""
