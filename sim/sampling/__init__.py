"""When the steps are and which shocks they draw."""
