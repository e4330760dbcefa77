from __future__ import annotations

import pytest

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.models.checks import check_eyes


def test_every_domain_says_where_it_is_and_under_which_terms() -> None:
    for domain in DOMAINS.values():
        assert all(images.dataset.count("/") == 1 and images.column and images.licence for images in domain.image_sets)
        assert len(set(domain.labels)) == len(domain.image_sets) and all(domain.labels)
        assert [domain.image_set(letter) for letter in "ab"[: len(domain.image_sets)]] == list(domain.image_sets)
    with pytest.raises(ValueError, match="faces has domain A only: there is no 'b'"):
        DOMAINS["faces"].image_set("b")


def test_sides_of_one_dataset_differ() -> None:
    smile, monet = DOMAINS["smile"], DOMAINS["monet"]
    assert smile.a.filter == {"Smiling": 0} and smile.b.filter == {"Smiling": 1}
    assert (monet.a.column, monet.b.column) == ("imageB", "imageA")  # the dataset's A is the painting
    assert DOMAINS["cartoon"].b.revision == "refs/convert/parquet"


def test_eyes_of_faces_are_two_places_in_a_square() -> None:
    faces = {name: [side.eyes is not None for side in domain.image_sets] for name, domain in DOMAINS.items()}
    aligned = {name: sides for name, sides in faces.items() if any(sides)}
    assert aligned == {"smile": [True, True], "anime": [True, False], "cartoon": [True, False], "faces": [True]}
    for side in (side for domain in DOMAINS.values() for side in domain.image_sets if side.eyes):
        left, top, right, level = check_eyes(side.eyes) or (0, 0, 0, 0)
        assert left + right == pytest.approx(1) and top == level  # upright and symmetrical, so that a flip keeps them


def test_only_free_piles_are_redistributable() -> None:
    free = {p.label for d in DOMAINS.values() for p in d.image_sets if p.redistributable}
    assert free == {"cartoon avatar", "Monet", "Van Gogh", "Cezanne", "ukiyo-e"}


@pytest.mark.parametrize("name", ["vangogh", "cezanne", "ukiyoe"])
def test_the_other_painters_are_siblings_of_monet(name: str) -> None:
    own, monet = DOMAINS[name], DOMAINS["monet"]
    assert {image_set.dataset for image_set in own.image_sets} == {f"huggan/{name}2photo"} and own.repo_id == f"cyclegan-{name}"
    for image_set, sibling in zip(own.image_sets, monet.image_sets, strict=True):
        assert (image_set.column, image_set.split, image_set.test_split) == (sibling.column, sibling.split, sibling.test_split)
        assert image_set.redistributable == sibling.redistributable
