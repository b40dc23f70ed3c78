"""Launchers: how the jobs of a sweep get to other processes and machines."""
