"""Trainings that the app starts, each a process and a folder."""
