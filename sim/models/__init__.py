"""What a user chooses or writes: dynamics, hedging, impact, motion of the surface, order flow."""
