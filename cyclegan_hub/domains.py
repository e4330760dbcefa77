"""The domains that are translated or generated: the dataset of each set of images, and its terms.

A domain of your own needs no entry here: `train.py --data FOLDER --labels "day,night"`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# Where the eyes of an aligned face lie: (left x, left y, right x, right y) as seen, in shares of the image's side.
Eyes = tuple[float, float, float, float]
HEAD: Eyes = (47.5 / 128, 0.5, 80.5 / 128, 0.5)  # where every avatar of the Cartoon Set has them: the whole head is in the image


def are_eyes(shares: object) -> bool:
    """Whether these are the places of two eyes: four numbers between 0 and 1, the first eye left of the second."""
    if not isinstance(shares, list | tuple) or len(shares) != 4:
        return False
    numbers = all(isinstance(share, int | float) and not isinstance(share, bool) and 0 < share < 1 for share in shares)
    return numbers and bool(shares[0] < shares[2])


_HELD_OUT = ", held out: "  # between the two parts of a line of `data` in a run's record


@dataclass(frozen=True)
class HubSplit:
    """One split of a dataset on the Hub, or of a local folder that `datasets.load_dataset` reads."""

    dataset: str
    split: str
    config: str | None = None
    column: str | None = None  # None: the one column that holds images
    filter: tuple[tuple[str, str], ...] = ()  # rows whose column has this value
    revision: str | None = None
    optional: bool = field(default=False, compare=False)  # whether the dataset may lack the split
    data_dir: str | None = None  # the folder of the dataset that is read; None: what its card says, or all of it

    @property
    def kind(self) -> str:
        """The name of the class that reads it, as that of `data.specs.Files`."""
        return "hub"

    @property
    def is_local(self) -> bool:
        """Whether `dataset` is a folder on this machine."""
        return Path(self.dataset).expanduser().is_dir()

    def describe(self) -> str:
        """The spec in its `hf:` form; of a local folder only the last component is shown."""
        pairs = [("config", self.config), ("data_dir", self.data_dir), ("split", self.split), ("column", self.column)]
        pairs += [("filter", f"{name}={value}") for name, value in self.filter] + [("revision", self.revision)]
        name = Path(self.dataset).name if self.is_local else self.dataset
        return f"hf:{name}?" + "&".join(f"{key}={value}" for key, value in pairs if value is not None)

    def identity(self) -> str:
        """What a saved stream position belongs to."""
        return self.describe()

    @classmethod
    def parse(cls, text: str) -> HubSplit | None:
        """The inverse of `describe`; None for anything that is not a dataset on the Hub."""
        name, _, query = text.removeprefix("hf:").partition("?")
        if not text.startswith("hf:") or name.count("/") != 1:  # of a local folder only its last component is recorded
            return None
        pairs = [part.partition("=")[::2] for part in query.split("&")]
        values, rows = dict(pairs), tuple(value.partition("=")[::2] for key, value in pairs if key == "filter")
        same: dict[str, Any] = {key: values.get(key) for key in ("config", "column", "revision", "data_dir")}
        return cls(name, values.get("split", "train"), filter=rows, **same)


def describe_source(train: str, held_out: str | None) -> str:
    """A line of `data` in a run's record: where the training images of a domain and its held-out ones come from."""
    return f"{train}{_HELD_OUT}{held_out or 'a tenth by content hash'}"


def recorded_splits(line: str) -> tuple[HubSplit, HubSplit | None] | None:
    """The splits that a line of `describe_source` names; None for images that are not on the Hub.

    The held-out one is optional: the training may have found none.
    """
    train, held_out = map(HubSplit.parse, line.partition(_HELD_OUT)[::2])
    return None if train is None else (train, held_out and replace(held_out, optional=True))


@dataclass(frozen=True)
class ImageSet:
    """The images of domain A or B: a column of a Hub dataset.

    `split` is trained on; `test_split` is held out (None: a tenth is, fixed by content hash).
    `filter` keeps the rows whose columns have these values. `revision` is a branch, tag or commit of the dataset.
    `redistributable` says whether its images may be shown in a card or a page; where it is False only translations
    of free images may be published.
    """

    label: str
    dataset: str
    column: str
    licence: str
    redistributable: bool = False
    config: str | None = None
    split: str = "train"
    test_split: str | None = "test"
    filter: dict[str, int] = field(default_factory=dict)
    revision: str | None = None
    data_dir: str | None = None  # the folder of the dataset that is read; None: what its card says, or all of it
    eyes: Eyes | None = None  # of faces: where alignment brings the eyes; None: the images are used as they are

    @property
    def splits(self) -> tuple[HubSplit, HubSplit | None]:
        """(training split, held-out split if there is one)."""
        rows = tuple((column, str(value)) for column, value in self.filter.items())
        train = HubSplit(self.dataset, self.split, self.config, self.column, rows, self.revision, data_dir=self.data_dir)
        return train, replace(train, split=self.test_split) if self.test_split else None

    def describe(self) -> str:
        """The line of `data` in the record of a run on these images."""
        train, held_out = self.splits
        return describe_source(train.describe(), held_out.describe() if held_out else None)


Pile = ImageSet  # the former name


@dataclass(frozen=True)
class Domain:
    """Two sets of images, A and B, or A alone, and the repository name that a model is published under by default."""

    name: str
    a: ImageSet
    b: ImageSet | None  # None: images of A are generated
    repo_id: str
    action: str = ""  # its model's name on the page, by what it does: "Paint like Monet"
    makes: str = ""  # completes "Turn a photo into ": "a Monet painting"

    @property
    def image_sets(self) -> tuple[ImageSet, ...]:
        """A and, if there is one, B."""
        return (self.a, self.b) if self.b else (self.a,)

    def image_set(self, letter: str) -> ImageSet:
        """The images of domain "a" or "b". Raises ValueError where there is no B."""
        if letter == "a":
            return self.a
        if self.b is None:
            raise ValueError(f"{self.name} has domain A only: there is no {letter!r}")
        return self.b

    @property
    def labels(self) -> tuple[str, ...]:
        """(label of A, label of B), e.g. ("photo", "Monet"), or of A alone."""
        return tuple(images.label for images in self.image_sets)


# CelebA: Liu et al. 2015, "Deep Learning Face Attributes in the Wild"; its terms allow non-commercial research only.
_CELEBA = ImageSet(
    "face",
    dataset="flwrlabs/celeba",
    config="img_align+identity+attr",
    column="image",
    licence="CelebA: non-commercial research only, no redistribution",
)
# The median of 3,881 training photographs (CelebA, cropped to 88 px) and of their mirror images.
_SMILE_EYES: Eyes = (0.389, 0.454, 0.611, 0.454)
_SELFIE2ANIME = ImageSet(
    "human face",
    dataset="huggan/selfie2anime",
    column="imageA",
    licence="selfie2anime (Kim et al. 2020): research use, no licence stated",
)
_MONET2PHOTO = ImageSet(
    "photo",
    dataset="huggan/monet2photo",
    column="imageB",  # in this dataset imageA is the painting and imageB the photo; ours translates photo -> Monet
    licence="Flickr photographers' copyright: research use",
)


def _painter(name: str, label: str, terms: str, action: str = "", makes: str = "") -> Domain:
    """A domain of a sibling of monet2photo: the same photographs, and other paintings in the column `imageA`.

    Its columns and counts of rows are those of monet2photo. That `imageA` is the painting was not checked here:
    it follows from the sibling.
    """
    photo = replace(_MONET2PHOTO, dataset=f"huggan/{name}2photo")
    painting = replace(photo, label=label, column="imageA", licence=terms, redistributable=True)
    action, makes = action or f"Paint like {label}", makes or f"a {label} painting"
    return Domain(name, a=photo, b=painting, repo_id=f"cyclegan-{name}", action=action, makes=makes)


DOMAINS: dict[str, Domain] = {
    d.name: d
    for d in (
        Domain(
            "smile",
            a=replace(_CELEBA, label="not smiling", filter={"Smiling": 0}, eyes=_SMILE_EYES),
            b=replace(_CELEBA, label="smiling", filter={"Smiling": 1}, eyes=_SMILE_EYES),
            repo_id="cyclegan-smile",
            action="Make them smile",
        ),
        Domain(
            "anime",
            # By eye: 40 px of 128 apart gives eyes of one size; at 56 px hair and chin are lost.
            a=replace(_SELFIE2ANIME, eyes=(44 / 128, 62 / 128, 84 / 128, 62 / 128)),
            b=replace(_SELFIE2ANIME, label="anime face", column="imageB"),
            repo_id="cyclegan-anime",
            action="Anime",
            makes="anime",
        ),
        Domain(
            "cartoon",
            a=replace(_CELEBA, label="celebrity photo", eyes=HEAD),
            b=ImageSet(
                "cartoon avatar",
                dataset="cgarciae/cartoonset",
                column="img_bytes",
                licence="CC-BY-4.0, Google LLC (Cartoon Set)",
                redistributable=True,
                # The dataset's own loading script no longer runs; this branch is the Hub's Parquet conversion of it.
                revision="refs/convert/parquet",
                # Without it the branch's four folders are read as one: 220,000 images, 10.7 GB.
                data_dir="10k",
                test_split=None,
            ),
            repo_id="cyclegan-cartoon",
            action="Cartoon avatar",
            makes="a cartoon",
        ),
        Domain(
            "monet",
            a=_MONET2PHOTO,
            b=replace(
                _MONET2PHOTO,
                label="Monet",
                column="imageA",  # repeated to match the photos, about 1,070 unique: copies are left out when it is read
                licence="paintings in the public domain (Monet died in 1926)",
                redistributable=True,
            ),
            repo_id="cyclegan-monet",
            action="Paint like Monet",
            makes="a Monet painting",
        ),
        _painter("vangogh", "Van Gogh", "paintings in the public domain (Van Gogh died in 1890)"),
        _painter("cezanne", "Cezanne", "paintings in the public domain (Cezanne died in 1906)"),
        _painter("ukiyoe", "ukiyo-e", "ukiyo-e prints in the public domain", "Japanese print", "a Japanese print"),
        Domain("faces", a=replace(_CELEBA, eyes=HEAD), b=None, repo_id="dcgan-faces", action="Faces from noise"),
    )
}


def place(name: str) -> tuple[int, str]:
    """A sort key: domains in the order of `DOMAINS`, others after them by name."""
    names = list(DOMAINS)
    return names.index(name) if name in DOMAINS else len(names), name
