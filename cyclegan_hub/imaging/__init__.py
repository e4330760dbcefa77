"""Images: decoding under limits, conversion to and from tensors, grids, plots."""
