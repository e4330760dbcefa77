"""The Hub and model folders: the strict mixin, downloads, refs, records, and every error in one line."""
