"""American exercise: price, greeks, exercise boundary, premium."""
