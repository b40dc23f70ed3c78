"""Measuring: statistics, the step timer, what a stage used, and the environment."""
