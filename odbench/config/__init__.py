"""Configuration: the typed specification of a run, and how it is composed."""
