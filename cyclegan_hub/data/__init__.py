"""From files or the Hub to batches: what a pile of images is, how it is opened, scanned and read."""
