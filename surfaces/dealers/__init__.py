"""Who holds what, and what it does: books, exposures, levels."""
