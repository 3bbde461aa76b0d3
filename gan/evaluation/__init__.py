"""Measures of generated images and the verdicts they lead to."""
