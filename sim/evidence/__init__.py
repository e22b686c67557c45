"""Who is long and how hard hedging pushes, estimated from prices."""
