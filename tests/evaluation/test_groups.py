"""groups.py: the typology angle of known colours, halves, and what counts as worse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cyclegan_hub.evaluation.groups import Group, GroupTable, halves, typology_angles
from cyclegan_hub.evaluation.record import Metrics
from cyclegan_hub.hub.records import MetricsFileError

EYES = (0.37, 0.5, 0.63, 0.5)


def face(cheeks: tuple[int, int, int], rest: tuple[int, int, int] = (0, 0, 255), side: int = 64) -> Tensor:
    """One colour about where the cheeks of such a face are, another everywhere else: uint8 (3, S, S)."""
    x = torch.tensor(rest, dtype=torch.uint8).view(3, 1, 1).repeat(1, side, side)
    for left in (0.36, 0.64):
        across, down = round(left * side), round((0.5 + 0.65 * 0.26) * side)
        x[:, down - 4 : down + 5, across - 4 : across + 5] = torch.tensor(cheeks, dtype=torch.uint8).view(3, 1, 1)
    return x


def test_the_angle_is_that_of_the_cheeks_alone() -> None:
    """The bounds of Chardon et al. 1991: above 55 very light, 41 to 55 light, 28 to 41 intermediate, below -30 dark."""
    light, tan, dark = typology_angles(torch.stack([face((240, 205, 180)), face((224, 177, 132)), face((107, 62, 38))]), EYES)
    assert light > 55 and 28 < tan < 45 and dark < -30
    other = typology_angles(face((224, 177, 132), rest=(255, 255, 0))[None], EYES)[0]
    assert other == pytest.approx(tan, abs=0.5)
    assert typology_angles(face((224, 177, 132), side=128)[None], EYES)[0] == pytest.approx(tan, abs=0.5)
    with pytest.raises(ValueError, match="grey images"):
        typology_angles(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), EYES)


def test_halves() -> None:
    assert halves([3.0, 1.0, 2.0, 0.0, 9.0]) == ([1, 3], [0, 2, 4])
    assert halves([1.0, 1.0]) == ([0], [1])
    with pytest.raises(ValueError, match="not finite"):
        halves([1.0, float("nan")])


def table(*distances: float) -> GroupTable:
    names = (("skin", "darker half"), ("skin", "lighter half"), ("glasses", "glasses"), ("glasses", "without glasses"))
    groups = (Group(*names, 10, d, d - 1, d + 1, 50.0) for names, d in zip(names, distances, strict=True))
    return GroupTable("epoch-005", "a_to_b", "mmd[imagenet]", tuple(groups))


def test_worse_by_more_than_a_third_than_its_counterpart() -> None:
    assert [one.name for one in table(8.1, 6.0, 1.0, 1.0).worse] == ["darker half"]
    assert table(7.9, 6.0, 1.0, 30.0).worse[0].name == "without glasses" and len(table(7.9, 6.0, 1.0, 30.0).worse) == 1
    assert not table(1.0, 1.0, 9.0, 9.0).worse  # groups of another split are no counterpart
    assert [one.name for one in table(1.0, -0.1, 2.0, 2.0).worse] == ["darker half"]  # an unbiased distance may be below 0


def test_the_record_goes_through_metrics_json() -> None:
    content = {"best": "epoch-005", "epochs": {"epoch-005": {"a_to_b": {}}}}
    metrics = Metrics.from_json(content | {"groups": table(1.0, 2.0, 3.0, 4.0).to_json()})
    assert GroupTable.of(Metrics.from_json(metrics.to_json())) == table(1.0, 2.0, 3.0, 4.0)
    assert GroupTable.of(Metrics.from_json(content)) is None and GroupTable.of(None) is None
    for damaged in ({}, {"groups": [{"name": "x"}], "epoch": "e", "direction": "d", "metric": "m"}, [1]):
        with pytest.raises(MetricsFileError, match="groups cannot be read"):
            GroupTable.of(Metrics.from_json(content | {"groups": damaged}))
