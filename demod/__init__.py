"""Blind demodulation with generative priors: the companion to Hand & Joshi (NeurIPS 2019)."""
