"""Sweeps that finish: what is to be done, what of it was done before, and carrying out the rest."""
