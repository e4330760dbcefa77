"""What a training would fetch from the Hub before its first step, asked of the Hub and told without fetching anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cyclegan_hub.data.hub_source import Download, HubItems
from cyclegan_hub.data.specs import Files, HubSplit, Pair, SideSource


@dataclass(frozen=True)
class Downloads:
    """The splits of the Hub that some sources are made of."""

    splits: dict[HubSplit, Download]

    @property
    def missing(self) -> int:
        """Bytes to fetch: each file once, whichever splits are made of it."""
        sizes = {
            (split.dataset, split.revision, name): download.files[name]
            for split, download in self.splits.items()
            for name in download.missing
        }
        return sum(sizes.values())

    def lines(self) -> list[str]:
        """A line for each split, and one on all of them."""
        found = []
        for split, download in self.splits.items():
            count, size = len(download.files), sum(download.files.values())
            rows = f", {download.rows:,} rows" if download.rows is not None else ""
            there = " (in the cache)" if not download.missing else ""
            found.append(f"{split.describe()}: {count} file{'' if count == 1 else 's'}, {megabytes(size)}{rows}{there}")
        disk = self.missing + sum(download.copied for download in self.splits.values())
        return [*found, f"to download: {megabytes(self.missing)}; disk needed for the images: {megabytes(disk)}"]


def downloads_of(sources: Iterable[SideSource]) -> Downloads:
    """What opening these sources would fetch. Raises DataError as opening them does."""
    found = {}
    for split in dict.fromkeys(split for source in sources for split in _splits(source)):
        download = HubItems.download(split)
        if download is not None:
            found[split] = download
    return Downloads(found)


def _splits(source: SideSource) -> list[HubSplit]:
    """The splits of the Hub in a side's source."""
    parts: list[Files | HubSplit | Pair | None] = [source.train, source.held_out]
    single = [one for part in parts for one in ((part.a, part.b) if isinstance(part, Pair) else (part,))]
    return [one for one in single if isinstance(one, HubSplit) and not one.is_local]


def megabytes(size: int) -> str:
    """A size in bytes as a person reads it, in powers of ten as the Hub shows it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
