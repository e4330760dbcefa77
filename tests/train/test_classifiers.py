"""train/encoder/classifiers.py: principal components, the domain encoder and transfer learning."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite
from cyclegan_hub.models.encoder import SideEncoder
from support.training import demo_data, script

classifiers = script("encoder/classifiers")


def test_the_linear_classifier_learns() -> None:
    """Sides that differ in brightness along one axis are told apart; of two that do not differ, new images are guessed."""
    torch.manual_seed(0)
    noise = [torch.randint(0, 200, (count, 3, 8, 8), dtype=torch.uint8) for count in (150, 90, 200, 200)]
    lit = [noise[0], noise[1].clone(), noise[2], noise[3].clone()]
    for side in (lit[1], lit[3]):
        side[:, :, :4] += 40
    prepare = partial(torch.mul, 1 / 255)
    assert min(classifiers.linear_accuracy((lit[0], lit[1]), (lit[2], lit[3]), prepare)) > 0.85
    assert 0.35 < sum(classifiers.linear_accuracy((noise[0], noise[1]), (noise[2], noise[3]), prepare)) / 2 < 0.65


def test_fine_tuning_learns_and_leaves_the_network_as_it_was() -> None:
    """Sides that differ in the mean of their maps are told apart; of two that do not differ, new images are guessed."""
    torch.manual_seed(0)
    network = EfficientNetLite("lite1")
    before = [p.clone() for p in network.parameters()]
    channels = network.blocks[-classifiers.BLOCKS].expand.in_channels
    noise = [torch.randn(count, channels, 2, 2) for count in (48, 48, 100, 100)]
    apart = [x + shift for x, shift in zip(noise, (0.0, 1.0, 0.0, 1.0), strict=True)]
    assert min(classifiers.fine_tuned_accuracy(network, tuple(apart[:2]), tuple(apart[2:]))) > 0.8
    guessed = classifiers.fine_tuned_accuracy(network, tuple(noise[:2]), tuple(noise[2:]))
    assert 0.35 < sum(guessed) / 2 < 0.65
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    assert not any(p.requires_grad for p in network.parameters())


def test_frozen_features_are_those_of_the_network() -> None:
    network = EfficientNetLite("lite1")
    images = torch.randint(0, 256, (9, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    maps, means = classifiers.frozen_maps(network, images, lambda x: x / 127.5 - 1)
    assert maps.shape == (9, 192, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(means, network.means(images / 127.5 - 1)[:, -network.widths[-1] :], rtol=1e-4, atol=1e-4)


def test_the_table_of_all_four(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys) -> None:
    encoder = SideEncoder(domains={"smile": list(DOMAINS["smile"].labels)}, widths=(4, 6, 8), image_size=64)
    encoder.save_pretrained(tmp_path / "encoder")
    data = demo_data(tmp_path_factory, 24)
    assert classifiers.main(["smile", "--data", str(data), "--encoder", str(tmp_path / "encoder")]) == 0
    heads, _, *rows, last = capsys.readouterr().out.splitlines()
    assert heads.startswith("| smile, held out | ") and "seed 0" in last and len(rows) == 4
    shares = [float(cell.strip(" %")) for row in rows for cell in row.split("|")[2:4]]
    assert len(shares) == 8 and all(0 <= share <= 100 for share in shares)


def test_an_unknown_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert classifiers.main(["smile", "--data", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
