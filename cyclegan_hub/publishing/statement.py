"""What a card and the page say of a model's use, its limits, its data and their terms: chosen by the run's own record."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cyclegan_hub.data.resolve import hub_dataset
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.hub.provenance import provenance_of
from cyclegan_hub.hub.run_record import RunRecord
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.publishing.sample_grid import shows_faces
from cyclegan_hub.templates import render_markdown


def statement_for(domain: str, labels: Sequence[str], record: RunRecord | None, kind: type[Model] = CycleGenerator) -> str:
    """The name of the statement for a model: a file of model_cards/.

    A domain's own statement describes its datasets, so that only a run whose record names these gets it; every other model gets
    "custom", or "other" if it has one direction. The domains' statements describe two directions, but for that of faces.
    """
    data = list(((record or {}).get("data") or {}).values())
    known = DOMAINS.get(domain)
    if len(kind.directions) < 2:
        faces = domain == "faces" and known is not None and data == [hub_dataset(known.a).describe()]
        return "faces" if faces else "other"
    own = known is not None and known.labels == tuple(labels) and data == [hub_dataset(pile).describe() for pile in known.piles]
    return domain if own else "custom"


def render_statement(domain: str, labels: Sequence[str], record: RunRecord | None, kind: type[Model], *, measured: bool) -> str:
    """Intended use, limits, data and licence as Markdown. `measured`: whether measured values are shown with them."""
    name, people = statement_for(domain, labels, record, kind), shows_faces(domain)
    text = render_markdown(
        f"{name}.md", a=labels[0], b=labels[-1], people=people, provenance=provenance_of(record), measured=measured
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip()  # empty lines of parts that are left out
