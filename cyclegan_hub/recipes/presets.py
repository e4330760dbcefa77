"""The named recipes. A preset is one line; this module imports no torch."""

from __future__ import annotations

from cyclegan_hub.recipes.fields import RecipeError
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe


def find(name: str) -> Recipe:
    """The recipe called `name`. Raises RecipeError that lists the names there are."""
    if name not in RECIPES:
        raise RecipeError(f"no recipe {name!r}; recipes: {', '.join(RECIPES)}")
    return RECIPES[name]


def compact_of(recipe: Recipe) -> str | None:
    """The recipe for a CPU of the same method and domain; None where there is none, or where this is one itself."""
    compact = RECIPES.get(f"{recipe.domain}-compact")
    return compact.name if compact and compact.method == recipe.method and "compact" not in recipe.name else None


_R, _DCGAN, _PIX = CycleGANRecipe, DCGANRecipe, Pix2PixRecipe
_SCALE0 = dict(norm_init_mean=0.0)  # norm scales N(0, 0.02), as in the smile and anime sources
_LS = dict(upsample="transpose", flip=False, equal_sides=True, epochs=40, **_SCALE0)
_ANIME = dict(upsample="transpose", batch_size=1, snapshot_every=1, keep_epochs=20, **_SCALE0)
_PATCH3 = dict(disc_channels=(64, 128, 256), disc_last_stride=2)
# Ours, from the project's notes on what raises quality for a given amount of compute: resize-then-convolve, least squares,
# image pool, EMA, a linear decay over at least half of the schedule, small batches, a slower discriminator. High identity
# weights first (against colour inversion), lower ones later (they hold the style back).
_OURS = dict(pool_size=50, ema=0.999, decay=0.5, identity_start=5.0, identity_warmup=0.1, disc_lr_factor=0.5)
_SMALL = dict(diffaugment=("translation", "cutout"))  # domains of hundreds of images a side only
_COMPACT = dict(image_size=64, load_size=72, width=24, blocks=6, padding="zeros", disc_channels=(32, 64, 128), batch_size=2)
# A 70 px discriminator that is shown the other side too. Trained alone on smile for 300 steps at batch 1 it told unseen smiling
# from neutral faces with an AUC of 0.97 (n = 100 a side), the three-layer one with 0.58; mouths changed soon after it came in.
_WATCHFUL = dict(disc_channels=(32, 64, 128, 256), disc_lr_factor=1.0, source_negatives=0.5)
_COMPACT128 = _COMPACT | dict(image_size=128, load_size=144, disc_channels=(32, 64, 128, 256))
_SMILE = _OURS | dict(domain="smile", cycle=5.0, identity_a=1.0, identity_b=1.0)
_ANIM = _OURS | dict(domain="anime", cycle=5.0, identity_a=1.0, identity_b=1.0)
_CARTOON = _OURS | dict(domain="cartoon", cycle=5.0, identity_a=1.0, identity_b=1.0)
_MONET = _OURS | dict(domain="monet", cycle=10.0, identity_a=5.0, identity_b=2.5, identity_start=10.0) | _SMALL
_DC = dict(batch_size=64, epochs=100, snapshot_every=10, max_images=20_000)
_PX = dict(batch_size=1, max_images=20_000)

# fmt: off
RECIPES: dict[str, Recipe] = {r.name: r for r in (
    # ours: the full size wants a GPU
    _R("smile", **_SMILE, image_size=128, load_size=144, batch_size=2, epochs=40, max_images=20_000),
    _R("anime", **_ANIM, image_size=128, load_size=144, batch_size=2, epochs=120),
    _R("cartoon", **_CARTOON, image_size=128, load_size=144, batch_size=2, epochs=60, max_images=20_000),
    _R("monet", **_MONET, image_size=256, load_size=286, disc_scales=2, epochs=60),
    # ours: these train on a CPU (about 1.1 M weights a direction)
    _R("smile-compact", **_SMILE | _COMPACT | _WATCHFUL, epochs=40, max_images=20_000),  # fid[encoder] 64.8 / 86.0: pretrained/
    _R("anime-compact", **_ANIM | _COMPACT, epochs=60),  # fid[encoder] 48.1 / 74.5 after 33,000 pairs at batch 1
    _R("cartoon-compact", **_CARTOON | _COMPACT, epochs=40, max_images=20_000),  # fid[encoder] 50.9 / 91.0: pretrained/README.md
    _R("monet-compact", **_MONET | _COMPACT | _WATCHFUL, epochs=60),  # fid[encoder] 159.4 / 139.5: pretrained/README.md
    _R("smile-compact-128", **_SMILE | _COMPACT128, epochs=40, max_images=20_000),
    _R("anime-compact-128", **_ANIM | _COMPACT128, epochs=80),
    _R("cartoon-compact-128", **_CARTOON | _COMPACT128, epochs=40, max_images=20_000),
    _R("monet-compact-128", **_MONET | _COMPACT128, epochs=80),
    # the systems of the sources this project was made from
    _R("smile-baseline", "smile", image_size=64, channels=1, width=32, blocks=3, upsample="transpose", flip=False, balance=True, disc_channels=(32, 64, 128), disc_last_stride=2, adversarial="bce", cycle=10.0, identity_a=2.5, identity_b=2.5, batch_size=32, epochs=20),  # noqa: E501
    _R("smile-lsgan-64", "smile", image_size=64, blocks=6, **_LS | _PATCH3 | dict(batch_size=64, epochs=20)),
    _R("smile-lsgan-128", "smile", image_size=128, blocks=9, **_LS, batch_size=8),
    _R("anime-128", "anime", image_size=128, load_size=158, max_images=3000, **_ANIME, epochs=180),
    _R("anime-256", "anime", image_size=256, load_size=286, max_images=2000, **_ANIME, epochs=60),
    # The source lists loss weights 1 (adversarial), 5, 10, 10 and calls identity optional.
    _R("cartoon-64", "cartoon", image_size=64, upsample="transpose", flip=False, adversarial="bce", pool_size=50, epochs=15),
    # The source's Kaggle MiFID: 51.30 with init 0.02 and batch 32, 46.00 with 0.04, 42.30 with batch 4, 40.34 with cycle 20.
    _R("monet-unet", "monet", image_size=256, load_size=286, generator="unet", blocks=8, upsample="transpose", dropout=0.5, adversarial="bce", cycle=20.0, identity_a=10.0, identity_b=10.0, batch_size=4, epochs=30, steps_per_epoch=1407, block_init_std=0.04),  # noqa: E501
    # DCGAN: images from noise; snapshots at 10 and then every 10, as in the source
    _DCGAN("faces-dcgan-64", "faces", **_DC, image_size=64),  # fid[encoder] 54.3 after 25 epochs of 9,812 faces
    _DCGAN("faces-dcgan-256", "faces", **_DC, image_size=256, gen_channels=(1024, 512, 256, 128, 64, 32), disc_channels=(32, 64, 128, 256, 512, 1024)),  # noqa: E501
    _DCGAN("monet-dcgan-64", "monet", **_DC, image_size=64, side="b"),  # the source's Kaggle MiFID: 210
    # pix2pix: translation learnt from pairs, given or made from one pile
    _PIX("pix2pix", "", **_PX, image_size=256, load_size=286),
    _PIX("colorize", "faces", **_PX, image_size=256, load_size=286, pairs="colorize"),
    _PIX("upscale-4x", "faces", **_PX, image_size=256, load_size=286, pairs="upscale-4x"),
    _PIX("upscale-4x-cnn", "faces", **_PX | dict(dropout=0.0), image_size=256, load_size=286, pairs="upscale-4x", generator="cnn", blocks=8, adversarial=0.0, l1=1.0),  # noqa: E501
    # at 64 px, as monet-dcgan-64 and monet-compact, so that evaluate.py can put the three side by side; the source's MiFID: 53.4
    _PIX("monet-pix2pix", "monet", **_PX, image_size=64, load_size=72, side="b", pairs="repaint", blocks=6, disc_channels=(64, 128, 256)),  # noqa: E501
)}
# fmt: on
