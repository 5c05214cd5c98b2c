"""From episodes to a checkpoint: windows, losses, training loop, probes, model card."""
