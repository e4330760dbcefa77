"""The named recipes, each a row of its own; this module imports no torch.

To add one, write a row: `replace(BASE, name=..., domain=..., what differs)`. The comment of a row is the score of the bundled
model that it trained: 100 x MMD^2 of A -> B and B -> A (train/experiments/bundled-models.md), of a DCGAN fid[encoder].
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe, RecipeError

# Ours: resize-then-convolve, image pool, EMA, a linear decay over half of the schedule, small batches, a slower discriminator,
# patch and projected discriminators together (train/experiments/projected.md). A high identity weight first, against inverted
# colours, then none: it restrains the style. The full size needs a GPU: its settings were tuned at the size of COMPACT_128.
OURS = CycleGANRecipe(
    name="", domain="", image_size=128, load_size=144, batch_size=2, discriminator="both", adversarial="hinge", cycle=20.0,
    identity_a=0.0, identity_b=0.0, identity_start=10.0, identity_warmup=0.1, diffaugment=("translation",), pool_size=50,
    ema=0.999, decay=0.5, disc_lr_factor=0.5,
)  # fmt: skip
# For a CPU: about 1.1 million weights a direction.
COMPACT_128 = replace(OURS, width=24, blocks=6, padding="zeros", batch_size=1, disc_channels=(32, 64, 128, 256))
COMPACT = replace(COMPACT_128, image_size=64, load_size=72)
# For similar domains: the network starts as the identity and adds the difference, so that colours cannot be inverted.
SKIP, COMPACT_128_SKIP, COMPACT_SKIP = (
    replace(base, skip=True, cycle=10.0, identity_start=None) for base in (OURS, COMPACT_128, COMPACT)
)


def _faces(name: str) -> dict[str, Any]:
    """Fields of a recipe for a domain of faces, which are aligned as the domain says."""
    domain = DOMAINS[name]
    return {"domain": name, "eyes_a": domain.a.eyes, "eyes_b": domain.b and domain.b.eyes}


# The systems of the sources that this project was made from. In the listings of smile's second and third system and of anime's,
# the total of each generator has one cycle term, that of the cycle which ends with it. `--set own_cycle=false` trains both
# generators on both terms, as the paper does.
SOURCE = CycleGANRecipe(name="", domain="", upsample="transpose")
# Norm scales start at N(0, 0.02), as in the smile and anime sources.
LSGAN = replace(SOURCE, domain="smile", norm_init_mean=0.0, flip=False, equal_sides=True, own_cycle=True)
ANIME = replace(SOURCE, domain="anime", norm_init_mean=0.0, snapshot_every=1, own_cycle=True)

# Images from noise; epochs are kept at 10 and then every 10, as in the source.
DCGAN = DCGANRecipe(
    name="", domain="faces", eyes=DOMAINS["faces"].a.eyes, image_size=64, batch_size=64, snapshot_every=10, max_images=20_000
)

# Translation learned from pairs, given or made from one image set.
PIX2PIX = Pix2PixRecipe(name="", domain="faces", image_size=256, load_size=286, max_images=20_000)

_ROWS: tuple[Recipe, ...] = (
    replace(SKIP, name="smile", **_faces("smile"), epochs=40, max_images=20_000, source_negatives=0.5),
    replace(OURS, name="anime", **_faces("anime"), epochs=120),
    replace(OURS, name="cartoon", **_faces("cartoon"), epochs=60, max_images=20_000, cycle=10.0),
    replace(SKIP, name="monet", domain="monet", image_size=256, load_size=286, batch_size=1, epochs=60),
    replace(COMPACT_SKIP, name="smile-compact", **_faces("smile"), epochs=40, max_images=20_000, source_negatives=0.5),
    replace(COMPACT, name="anime-compact", **_faces("anime"), epochs=60),
    replace(COMPACT, name="cartoon-compact", **_faces("cartoon"), epochs=40, max_images=20_000, cycle=10.0),
    # Crops from images of twice their size, so that brush strokes keep their scale; monet-compact-128 too.
    replace(COMPACT_SKIP, name="monet-compact", domain="monet", image_size=128, load_size=144, crop_size=64, epochs=60),
    replace(
        COMPACT_128_SKIP, name="smile-compact-128", **_faces("smile"), epochs=40, max_images=20_000,  # 1.4 / 1.5, at 96 px
        source_negatives=0.5,
    ),
    replace(COMPACT_128, name="anime-compact-128", **_faces("anime"), epochs=80),  # 14.3 / 15.3
    replace(
        COMPACT_128, name="cartoon-compact-128", **_faces("cartoon"), epochs=40, max_images=20_000, cycle=10.0,  # 20.6 / 9.6
    ),
    replace(
        COMPACT_128_SKIP, name="monet-compact-128", domain="monet", image_size=256, load_size=286, crop_size=128,  # 4.6 / 6.3
        epochs=80,
    ),
    replace(
        SOURCE, name="smile-baseline", domain="smile", image_size=64, channels=1, width=32, blocks=3, flip=False, balance=True,
        disc_channels=(32, 64, 128), disc_last_stride=2, adversarial="bce", identity_a=2.5, identity_b=2.5, batch_size=32,
        epochs=20,
    ),
    replace(
        LSGAN, name="smile-lsgan-64", image_size=64, blocks=6, disc_channels=(64, 128, 256), disc_last_stride=2, batch_size=64,
        epochs=20,
    ),
    replace(LSGAN, name="smile-lsgan-128", image_size=128, batch_size=8, epochs=40),
    replace(ANIME, name="anime-128", image_size=128, load_size=158, max_images=3000, epochs=180),
    replace(ANIME, name="anime-256", image_size=256, load_size=286, max_images=2000, epochs=60),
    # The source lists loss weights 1 (adversarial), 5, 10, 10 and calls identity optional.
    replace(
        SOURCE, name="cartoon-64", domain="cartoon", image_size=64, flip=False, adversarial="bce", pool_size=50, epochs=15
    ),
    # The source's Kaggle MiFID: 51.30 with init 0.02 and batch 32, 46.00 with 0.04, 42.30 with batch 4, 40.34 with cycle 20.
    replace(
        SOURCE, name="monet-unet", domain="monet", image_size=256, load_size=286, generator="unet", blocks=8, dropout=0.5,
        adversarial="bce", cycle=20.0, identity_a=10.0, identity_b=10.0, batch_size=4, epochs=30, steps_per_epoch=1407,
        block_init_std=0.04,
    ),
    replace(DCGAN, name="faces-dcgan-64"),  # 32.3 after 400,000 images, averaged
    replace(
        DCGAN, name="faces-dcgan-256", image_size=256, gen_channels=(1024, 512, 256, 128, 64, 32),
        disc_channels=(32, 64, 128, 256, 512, 1024),
    ),
    replace(DCGAN, name="monet-dcgan-64", domain="monet", eyes=None, side="b"),  # the source's Kaggle MiFID: 210
    replace(PIX2PIX, name="pix2pix", domain=""),
    replace(PIX2PIX, name="colorize", pairs="colorize"),
    replace(PIX2PIX, name="upscale-4x", pairs="upscale-4x"),
    replace(
        PIX2PIX, name="upscale-4x-cnn", pairs="upscale-4x", generator="cnn", blocks=8, dropout=0.0, adversarial_weight=0.0,
        l1=1.0,
    ),
    # Trained at 64 px, as monet-dcgan-64 and monet-compact, to be measured beside them; the source's MiFID: 53.4.
    replace(
        PIX2PIX, name="monet-pix2pix", domain="monet", image_size=64, load_size=72, side="b", pairs="repaint", blocks=6,
        disc_channels=(64, 128, 256),
    ),
)  # fmt: skip
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ROWS}
# The other painters of Monet's collection; no model of them was trained here.
RECIPES |= {name: replace(RECIPES["monet"], name=name, domain=name) for name in ("vangogh", "cezanne", "ukiyoe")}


def find(name: str) -> Recipe:
    """The recipe called `name`. Raises RecipeError, which lists the names."""
    if name not in RECIPES:
        raise RecipeError(f"no recipe {name!r}; recipes: {', '.join(RECIPES)}")
    return RECIPES[name]


def compact_of(recipe: Recipe) -> str | None:
    """The name of the recipe for a CPU of the same method and domain; None where there is none, or this is one."""
    compact = RECIPES.get(f"{recipe.domain}-compact")
    return compact.name if compact and compact.method == recipe.method and "compact" not in recipe.name else None


def tuned_on(name: str) -> str | None:
    """The compact recipe on which the settings of the full-size recipe `name` were tuned; None for any other recipe."""
    compact = f"{name}-compact-128"
    return compact if name in RECIPES and compact in RECIPES else None
