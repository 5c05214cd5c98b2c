"""Image and proprioception to a latent: camera model, training view, encoder, checkpoint."""
