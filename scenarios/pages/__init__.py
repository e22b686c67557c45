"""What every page shares: pictures, numbers, templates."""
