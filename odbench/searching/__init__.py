"""Searching a space of configurations with Optuna: trials are runs, and a study is a sweep."""
