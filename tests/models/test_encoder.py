"""The domain encoder: its columns, images of any size, and that it loads as it was saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub.imaging import images
from cyclegan_hub.models.encoder import SideEncoder

DOMAINS = {"smile": ["not smiling", "smiling"], "monet": ["photo", "Monet"]}


def tiny(**changes: object) -> SideEncoder:
    torch.manual_seed(0)
    return SideEncoder(**({"domains": DOMAINS, "widths": (4, 6, 8), "image_size": 16} | changes)).eval()


def photo(size: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, size, size), dtype=np.uint8))


def test_columns_follow_the_domains_names() -> None:
    encoder, x = tiny(), tiny().prepare(photo(16))
    labels = [("monet", "photo"), ("monet", "Monet"), ("monet", "neither")]
    assert encoder.columns == [*labels, ("smile", "not smiling"), ("smile", "smiling"), ("smile", "neither")]
    logits = encoder(x)
    assert logits.shape == (2, 6)
    assert torch.equal(encoder.answer_logits(x, "monet"), logits[:, :3])
    assert torch.equal(encoder.answer_logits(x, "smile"), logits[:, 3:])
    with pytest.raises(ValueError, match="does not know domain 'anime'; it knows monet, smile"):
        encoder.answer_logits(x, "anime")
    before = tiny(neither=False)  # the third answer
    assert before.columns == [("monet", "photo"), ("monet", "Monet"), ("smile", "not smiling"), ("smile", "smiling")]
    assert before.answer_logits(x, "smile").shape == (2, 2)


def test_features_are_the_means_of_every_stage_over_their_spread() -> None:
    encoder, x = tiny(), tiny().prepare(photo(16))
    before = encoder.features(x)
    assert before.shape == (2, 4 + 6 + 8)
    first = encoder.stages[0](x)
    assert first.shape == (2, 4, 8, 8)
    assert torch.allclose(before[:, :4], first.mean((2, 3)))
    pooled = 3 * torch.randn(50, 18)
    pooled[:, 5] = 7.0
    encoder.fit_spread(pooled)
    assert encoder.spread[5] == 1 and torch.allclose(encoder.spread[:5], pooled[:, :5].std(0))
    assert torch.allclose(encoder.features(x), before / encoder.spread)
    assert torch.allclose(encoder(x), encoder.head(before[:, -8:]))  # logits do not see the spread


def test_prepare_resizes_as_pillow_does() -> None:
    """An antialiased reduction: Pillow's bicubic filter, which rounds to 8 bits between its two passes."""
    x = photo(96)
    ours = tiny(image_size=32).prepare(x)
    theirs = images.to_tensor(images.decode(x[0]).resize((32, 32), Image.Resampling.BICUBIC))
    assert ours.shape == (2, 3, 32, 32)
    assert (ours[0] - theirs).abs().max() < 2 / 127.5


def test_prepare_leaves_its_own_size_alone_and_repeats_grey() -> None:
    x = photo(16)
    assert torch.equal(tiny().prepare(x), images.from_uint8(x))
    grey = tiny().prepare(x[:, :1])
    assert torch.equal(grey[:, 0], grey[:, 2])


def test_what_is_saved_comes_back(tmp_path) -> None:
    encoder = tiny()
    with torch.no_grad():
        encoder.half().float()
    for name, data in encoder.files(dtype=torch.float16).items():
        (tmp_path / name).write_bytes(data)
    loaded = SideEncoder.from_pretrained(tmp_path)
    x = loaded.prepare(photo(40))
    assert loaded.stored_dtype == torch.float16
    assert loaded.columns == encoder.columns
    assert all(torch.equal(tensor, encoder.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    torch.testing.assert_close(loaded.features(x), encoder.features(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loaded(x), encoder(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"domains": {}}, "give the labels of A and B of at least one domain"),
        ({"domains": {"smile": ["smiling"]}}, "labels .* of domain 'smile'"),
        ({"domains": {"smile": "ab"}}, "labels 'ab' of domain 'smile'"),
        ({"widths": (4,)}, "at least two widths"),
        ({"widths": (4, 0)}, "at least two widths"),
        ({"image_size": 4}, "halved as often"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        tiny(**changes)
