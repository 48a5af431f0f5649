"""How the priors were trained: adversarially or as decoders, resumable, on one device or several."""
