"""From files or the Hub to batches: what a set of images is, how it is opened, scanned and read."""
