"""The Train page: train a GAN on a server, and watch it."""
