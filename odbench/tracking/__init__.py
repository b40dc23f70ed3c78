"""Records into MLflow: done by the parent process, after the timed work and never during it.

Importing this package does not import MLflow; the functions that talk to the store do.
"""
