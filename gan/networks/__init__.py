"""Tensors in, tensors out: generator, discriminator, losses, augmentation, latents, images."""
