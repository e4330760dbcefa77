"""Video files: read under limits, translated frame by frame, written with their sound and timing. PyAV is imported here only."""
