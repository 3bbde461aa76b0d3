"""How much data does a GAN need?  Data, networks, training, measures and trained models.

The library behind the app; it knows no user interface and does nothing on import.
Images are ``[N, C, H, W]`` in ``[-1, 1]`` unless a docstring says ``uint8``; a positive
discriminator logit means *real*.
"""

__version__ = "0.1.0"
