"""Priors for images: trained networks as `Generator`s, and the files they are loaded from."""
