"""What is kept of the paths and what it means."""
