"""Training: one trainer for each method, losses, augmentation, the loop and the run folder."""
