"""American exercise: price, greeks, exercise boundary and implied vol."""
