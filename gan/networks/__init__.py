"""Functions of tensors: generator, discriminator, losses, augmentation, latents, images."""

from gan.networks.dcgan import Discriminator, Generator, count_parameters, make_pair

__all__ = ["Discriminator", "Generator", "count_parameters", "make_pair"]
