"""The Explore page: one amount of data at a time, what a GAN trained on it draws, and how good that is."""
