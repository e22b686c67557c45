"""One step of the market, where price meets hedge."""
