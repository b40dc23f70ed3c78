"""Plugins of odbench: Hydra takes none from elsewhere. They import what they need when used."""
