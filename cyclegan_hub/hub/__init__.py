"""The Hub and model folders: the strict mixin, downloads, refs, the two JSON files, every fault in one line."""
