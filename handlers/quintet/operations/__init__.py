"""TODO: what may be here."""
