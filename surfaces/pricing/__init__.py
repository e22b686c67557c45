"""Price, greeks and implied vol of one option."""
