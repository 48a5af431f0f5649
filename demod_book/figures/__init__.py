"""One module per chapter: arrays in, `Figure` out."""
