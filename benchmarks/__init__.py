"""Benchmarks of the app, the browser parts and the training. They import gan; nothing imports them."""
