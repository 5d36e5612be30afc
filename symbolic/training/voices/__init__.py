"""Training of learned voices from recordings."""
