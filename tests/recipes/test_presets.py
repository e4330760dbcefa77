from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.recipes.methods import (
    ADDED_FIELDS,
    METHODS,
    RESUMABLE_FIELDS,
    CycleGANRecipe,
    Recipe,
    RecipeError,
    labels_of,
    override,
)
from cyclegan_hub.recipes.presets import RECIPES, find, tuned_on

SOURCES = ["smile-baseline", "smile-lsgan-64", "smile-lsgan-128", "anime-128", "anime-256", "cartoon-64", "monet-unet"]
OTHERS = ["faces-dcgan-64", "faces-dcgan-256", "monet-dcgan-64", "pix2pix", "colorize", "upscale-4x", "upscale-4x-cnn",
          "monet-pix2pix"]  # fmt: skip
PAINTERS = ["vangogh", "cezanne", "ukiyoe"]
TRANSLATED = [name for name, domain in DOMAINS.items() if domain.b and name not in PAINTERS]


def test_registry_has_ours_and_the_sources() -> None:
    ours = [f"{d}{suffix}" for suffix in ("", "-compact", "-compact-128") for d in TRANSLATED]
    assert sorted(RECIPES) == sorted(ours + SOURCES + OTHERS + PAINTERS)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_recipe_names_a_domain_and_can_be_set_from_text(recipe: Recipe) -> None:
    assert recipe.domain in DOMAINS or recipe.name == "pix2pix"  # whose pairs have to be given
    assert all(labels_of(recipe))
    texts = {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in asdict(recipe).items()
        if name not in ("name", "domain")
    }
    assert override(recipe, texts) == recipe


def test_painters_are_trained_as_monet_is() -> None:
    for name in PAINTERS:
        assert replace(RECIPES[name], name="monet", domain="monet") == RECIPES["monet"]


@pytest.mark.parametrize("domain", TRANSLATED)
def test_ours_follow_the_evidence(domain: str) -> None:
    for suffix in ("", "-compact", "-compact-128"):
        r = RECIPES[domain + suffix]
        assert (r.upsample, r.pool_size, r.ema, r.disc_lr_factor) == ("resize", 50, 0.999, 0.5)
        assert r.decay >= 0.5
        alike = domain in ("smile", "monet")
        assert (r.discriminator, r.adversarial, r.skip, r.cycle) == ("both", "hinge", alike, 20 if domain == "anime" else 10)
        assert r.diffaugment == ("translation",)
        assert r.skip or (r.identity_warmup > 0 and r.identity_start is not None)  # against inverted colours
    compact, larger = RECIPES[f"{domain}-compact"], RECIPES[f"{domain}-compact-128"]
    assert (compact.trained_size, larger.trained_size) == (64, 128)
    assert tuned_on(domain) == larger.name and tuned_on(larger.name) is None and tuned_on("anime-128") is None
    for r in (compact, larger):
        assert (r.width, r.blocks, r.padding) == (24, 6, "zeros")


# The sources' table, written out a second time: (size, load, channels, generator, width, blocks, discriminator, last stride,
# loss, cycle, identity, batch, epochs, snapshot, norm scale's mean)
TABLE = {
    "smile-baseline": (64, None, 1, "resnet", 32, 3, (32, 64, 128), 2, "bce", 10, 2.5, 32, 20, 5, 1),
    "smile-lsgan-64": (64, None, 3, "resnet", 64, 6, (64, 128, 256), 2, "lsgan", 10, 5, 64, 20, 5, 0),
    "smile-lsgan-128": (128, None, 3, "resnet", 64, 9, (64, 128, 256, 512), 1, "lsgan", 10, 5, 8, 40, 5, 0),
    "anime-128": (128, 158, 3, "resnet", 64, 9, (64, 128, 256, 512), 1, "lsgan", 10, 5, 1, 180, 1, 0),
    "anime-256": (256, 286, 3, "resnet", 64, 9, (64, 128, 256, 512), 1, "lsgan", 10, 5, 1, 60, 1, 0),
    "cartoon-64": (64, None, 3, "resnet", 64, 9, (64, 128, 256, 512), 1, "bce", 10, 5, 1, 15, 5, 1),
    "monet-unet": (256, 286, 3, "unet", 64, 8, (64, 128, 256, 512), 1, "bce", 20, 10, 4, 30, 5, 1),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_are_as_they_say(name: str) -> None:
    r = RECIPES[name]
    assert TABLE[name] == (
        r.image_size, r.load_size, r.channels, r.generator, r.width, r.blocks, r.disc_channels, r.disc_last_stride,
        r.adversarial, r.cycle, r.identity_a, r.batch_size, r.epochs, r.snapshot_every, r.norm_init_mean,
    )  # fmt: skip
    assert r.identity_a == r.identity_b
    assert (r.lr, r.disc_lr_factor, r.init_std, r.upsample, r.padding) == (2e-4, 1.0, 0.02, "transpose", "reflect")
    assert (r.decay, r.ema, r.disc_scales, r.diffaugment, r.identity_start) == (0.0, 0.0, 1, (), None)
    assert r.flip == (r.load_size is not None)
    assert r.pool_size == (50 if name == "cartoon-64" else 0)


def test_data_treatment_of_the_sources() -> None:
    assert RECIPES["smile-baseline"].balance and not RECIPES["smile-baseline"].equal_sides
    assert RECIPES["smile-lsgan-64"].equal_sides and RECIPES["smile-lsgan-128"].equal_sides
    assert (RECIPES["anime-128"].max_images, RECIPES["anime-256"].max_images) == (3000, 2000)
    monet = RECIPES["monet-unet"]
    assert (monet.steps_per_epoch, monet.block_init_std, monet.dropout) == (1407, 0.04, 0.5)


def test_override_parses_every_kind() -> None:
    r = override(
        RECIPES["smile"],
        {"lr": "1e-3", "epochs": " 7 ", "flip": "False", "load_size": "none", "disc_channels": "8, 16", "generator": "resnet",
         "diffaugment": "cutout,translation", "max_images": "12", "disc_last_stride": "2", "identity_start": "0.5"},
    )  # fmt: skip
    assert (r.lr, r.epochs, r.flip, r.load_size, r.disc_channels) == (1e-3, 7, False, None, (8, 16))
    assert (r.diffaugment, r.max_images, r.disc_last_stride, r.identity_start) == (("cutout", "translation"), 12, 2, 0.5)
    options = override(RECIPES["smile"], {"fit": "pad", "value_range": "0,4095"}).load_options()
    assert (options["fit"], options["value_range"]) == ("pad", (0, 4095))
    swapped = [override(RECIPES["pix2pix"], changes).load_options()["swapped"] for changes in ({}, {"direction": "b_to_a"})]
    assert swapped == [False, True]
    cropped = override(RECIPES["monet-compact-128"], {"load_size": "none"})
    assert (cropped.image_size, cropped.trained_size) == (256, 128)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("blocs", "6", "'blocs' is no field of a CycleGANRecipe; fields: image_size, .*log_every.*blocks"),
        ("name", "x", "'name' is no field"),
        ("epochs", "1.5", "epochs='1.5': must be a whole number"),
        ("lr", "fast", "lr='fast': must be a finite number"),
        ("lr", "nan", "lr=nan: must be a finite number"),
        ("identity_start", "nan", "identity_start=nan: must be a finite number"),
        ("identity_start", "-1", "identity_start=-1.0: must be 0 or more"),
        ("block_init_std", "-1", "block_init_std=-1.0: must be 0 or more"),
        ("image_size", "16", "image_size=16: must be larger for this discriminator"),
        ("cycle", "inf", "cycle=inf: must be a finite number"),
        ("flip", "yes", "flip='yes': must be true or false"),
        ("generator", "vit", "generator='vit': must be one of resnet, unet"),
        ("diffaugment", "blur", "diffaugment='blur': must be one of translation, cutout, color"),
        ("disc_channels", "64,x", "disc_channels='x': must be a whole number"),
        ("disc_channels", "", r"disc_channels=\(\): must be"),
        ("batch_size", "0", "batch_size=0: must be at least 1"),
        ("channels", "2", "channels=2: must be 1"),
        ("decay", "1.5", "decay=1.5: must be a share"),
        ("ema", "1", "ema=1.0: must be from 0"),
        ("load_size", "100", r"load_size=100: must be none, or image_size \(128\)"),
        ("image_size", "126", "image_size=126: must be a multiple of 4"),
        ("streaming", "true", "steps_per_epoch=None: must be given"),
        ("keep_epochs", "1", "keep_epochs=1: must be at least 2"),
        ("discriminator", "vit", "discriminator='vit': must be one of patch, projected, both"),
        ("adversarial", "wgan", "adversarial='wgan': must be one of lsgan, bce, hinge"),
        ("fit", "squash", "fit='squash': must be one of crop, random-crop, stretch, pad"),
        ("channels", "1,3", r"channels='1,3': both domains are read alike: give 1 \(both grey\) or 3 \(both RGB\)"),
        ("value_range", "4095", "value_range="),
        ("value_range", "5,5", "value_range="),
        ("value_range", "0,1,2", "value_range="),
    ],
)
def test_a_wrong_field_or_value_is_one_clear_line(field: str, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        override(RECIPES["smile-compact-128"] if field == "load_size" else RECIPES["anime"], {field: text})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("anime-compact-128", {"minibatch_deviation": "true"}, "minibatch_deviation=True: must be false with batch_size=1 or"),
        ("monet-unet", {"noise": "true"}, "noise=True: must be false with generator=unet"),
        ("faces-dcgan-64", {"ema": "1"}, "ema=1.0: must be from 0 up to, not including, 1"),
        ("faces-dcgan-64", {"image_size": "96"}, "image_size=96: must be 64: 4 gen_channels make 4x4 px grow to that"),
        ("faces-dcgan-64", {"gen_channels": "32,16,8"}, "image_size=64: must be 32: 3 gen_channels"),
        ("faces-dcgan-64", {"disc_channels": "8,16"}, r"disc_channels=\(8, 16\): must be as many as gen_channels \(4\)"),
        ("faces-dcgan-64", {"batch_size": "1"}, "batch_size=1: must be at least 2: batch norm"),
        ("faces-dcgan-64", {"cycle": "1"}, "'cycle' is no field of a DCGANRecipe; fields: image_size"),
        ("faces-dcgan-64", {"side": "c"}, "side='c': must be one of a, b"),
        ("pix2pix", {"image_size": "96"}, "image_size=96: must be a multiple of 256 for this generator"),
        ("pix2pix", {"pairs": "blur"}, "pairs='blur': must be one of given, colorize, upscale-4x, repaint"),
        ("colorize", {"channels": "1"}, "channels=1: must be 3 to colorize"),
        ("upscale-4x-cnn", {"l1": "0"}, "l1=0.0: must be more than 0 where adversarial_weight is 0"),
        ("upscale-4x-cnn", {"image_size": "66"}, "image_size=66: must be a multiple of 4 where pairs are made"),
        ("monet-unet", {"skip": "true"}, "skip=True: must be false with generator=unet"),
        ("smile-compact", {"load_size": "none", "discriminator": "projected", "image_size": "28"},
         "image_size=28: must be at least 32 for projected discriminators"),
        ("smile-compact-128", {"crop_size": "256"}, r"crop_size=256: must be none, or from 1 to image_size \(128\)"),
        ("smile-compact-128", {"crop_size": "34"}, "crop_size=34: must be a multiple of 4"),
        ("smile-compact-128", {"crop_size": "28", "discriminator": "projected"}, "crop_size=28: must be at least 32 for"),
        ("smile-baseline", {"streaming": "true", "steps_per_epoch": "10"}, "balance=True: must be none or false with streaming"),
        ("colorize", {"direction": "b_to_a"}, "direction='b_to_a': must be a_to_b where inputs are derived"),
    ],
)  # fmt: skip
def test_fields_that_do_not_fit_together_are_one_clear_line(name: str, changes: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        override(RECIPES[name], changes)


@pytest.mark.parametrize(
    ("field", "value"), [("width", "64"), ("flip", 1), ("lr", "x"), ("disc_channels", [64]), ("epochs", True)]
)
def test_wrong_types_are_refused_in_python_too(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"{field}="):
        CycleGANRecipe(**{"name": "x", "domain": "smile", field: value})


def test_a_projected_discriminator_takes_32_px() -> None:
    changes = {"load_size": "none", "discriminator": "projected", "image_size": "32"}
    assert override(RECIPES["smile-compact"], changes).discriminator == "projected"


def test_recipes_of_faces_align_as_their_domain_says() -> None:
    aligned = {
        name: (r.eyes_a, r.eyes_b) for name, r in RECIPES.items() if isinstance(r, CycleGANRecipe) and (r.eyes_a or r.eyes_b)
    }
    ours = [f"{name}{suffix}" for suffix in ("", "-compact", "-compact-128") for name in ("smile", "anime", "cartoon")]
    assert sorted(aligned) == sorted(ours)
    for name, eyes in aligned.items():
        domain = DOMAINS[RECIPES[name].domain]
        assert domain.b and eyes == (domain.a.eyes, domain.b.eyes) == RECIPES[name].load_options()["eyes"]
    assert {name for name in OTHERS if getattr(RECIPES[name], "eyes", None)} == {"faces-dcgan-64", "faces-dcgan-256"}
    assert RECIPES["faces-dcgan-64"].load_options()["eyes"] == (DOMAINS["faces"].a.eyes,)


@pytest.mark.parametrize(
    "text", ["0.5", "0.3,0.5,0.7", "0.7,0.5,0.3,0.5", "0,0.5,0.7,0.5", "0.3,0.5,0.7,1", "47,64,81,64", "0.3,0.5,0.7,0.5,0.5", ""]
)
def test_eyes_are_two_places_in_a_square(text: str) -> None:
    for name, field in (("monet", "eyes_a"), ("smile", "eyes_b"), ("monet-dcgan-64", "eyes")):
        with pytest.raises(
            RecipeError, match=rf"^{field}=\(.*\): must be none, or the left and the right eye as x,y,x,y in shares"
        ):
            override(RECIPES[name], {field: text})
        assert getattr(override(RECIPES[name], {field: "0.25, 0.5, 0.75, 0.625"}), field) == (0.25, 0.5, 0.75, 0.625)
        assert getattr(override(RECIPES[name], {field: "none"}), field) is None


def test_fields_that_came_later_have_the_old_behaviour_as_their_default() -> None:
    defaults = {f.name: f.default for kind in METHODS for f in fields(kind)}
    assert {name: defaults[name] for name in ADDED_FIELDS} == ADDED_FIELDS
    later = {"own_cycle"}  # the loss of these systems' listings: their recipes changed with the field
    old = {field: value for field, value in ADDED_FIELDS.items() if field not in later}
    assert all(getattr(RECIPES[name], field, value) == value for name in SOURCES for field, value in old.items())


def test_find_lists_the_names() -> None:
    assert find("smile") is RECIPES["smile"]
    with pytest.raises(RecipeError, match="no recipe 'smyle'; recipes: smile, anime"):
        find("smyle")


def test_resumable_fields_exist() -> None:
    for method in METHODS:
        assert {f.name for f in fields(method)} >= RESUMABLE_FIELDS


def test_labels_name_input_and_output() -> None:
    assert {name: labels_of(RECIPES[name]) for name in OTHERS} == {
        "faces-dcgan-64": ("face",),
        "faces-dcgan-256": ("face",),
        "monet-dcgan-64": ("Monet",),
        "pix2pix": ("input", "output"),
        "colorize": ("face in grey", "face"),
        "upscale-4x": ("small face", "face"),
        "upscale-4x-cnn": ("small face", "face"),
        "monet-pix2pix": ("photo", "Monet"),
    }
