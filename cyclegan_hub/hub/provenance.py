"""Where a model's training images come from and under which terms: always what the run's own record says.

A record has a `data_note` ({"text", "licence", "use", "limits"}), from `train --data-note` or `publish --data-note`. Where it has
none, its lines of `data` may name Hub datasets whose terms are known. Of anything else nothing is stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from cyclegan_hub.domains import DOMAINS, Pile
from cyclegan_hub.errors import UserError
from cyclegan_hub.hub.card_facts import HUB
from cyclegan_hub.hub.run_record import RunRecord

# The ids that the Hub knows; "other" stands for a licence that is none of them.
_IDS = """
    afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
    bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0
    cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
    cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
    creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
    fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 grok2-community h-research intel-research isc lgpl
    lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by
    ofl-1.1 openmdw-1.0 openmdw-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
    """
LICENCES = frozenset(_IDS.split())
# How those begin that let everybody pass the images on.
_FREE = ("cc-", "cc0", "cdla-", "odc-", "odbl", "pddl", "etalab-", "mit", "apache-", "unlicense", "wtfpl", "c-uda")
RESEARCH = "other:research-only"
NOT_STATED = "not stated: ask who published the model"


@dataclass(frozen=True)
class Provenance:
    """What is known of the training images of a model."""

    text: str = ""  # where they come from; "": not stated
    licence: str = ""  # an id of the Hub, "other" or "other:NAME"; "": not stated
    redistributable: bool = False  # whether all of them may be passed on
    limits: tuple[str, ...] = ()  # what follows from them for the model, a sentence each
    use: str = ""  # what the model is meant for; "": not stated

    @property
    def terms(self) -> str:
        """Data and terms as one line of text."""
        name = self.licence if self.licence and not self.licence.startswith("other:") else ""
        return "; ".join(part for part in (self.text, f"licence {name}" if name else "") if part) or NOT_STATED

    @property
    def licence_name(self) -> str:
        """ "cc-by-4.0", "research-only", "other" or "not stated"."""
        return self.licence.removeprefix("other:") or "not stated"

    def metadata(self, repo_id: str | None) -> dict[str, str]:
        """The fields of a card's front matter. `repo_id` None: a folder, whose address on the Hub is not known."""
        if self.licence and not self.licence.startswith("other"):
            return {"license": self.licence}
        name = "see-card" if self.licence == "other" else self.licence_name.replace(" ", "-")
        link = {"license_link": f"{HUB}/{repo_id}#data-and-licence"} if repo_id else {}
        return {"license": "other", "license_name": name, **link}


def provenance_of(record: RunRecord | None) -> Provenance:
    """What a run's record says of its training images; nothing for a model without a record."""
    note = (record or {}).get("data_note") or known_note((record or {}).get("data") or {})
    licence = str(note.get("licence") or "")
    return Provenance(
        text=str(note.get("text") or ""),
        licence=licence,
        redistributable=bool(note.get("redistributable", licence.startswith(_FREE))),
        limits=tuple(map(str, note.get("limits") or ())),
        use=str(note.get("use") or ""),
    )


def data_note(text: str | None, licence: str | None, before: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The `data_note` of a record: what `--data-note` and `--data-licence` say, over the one that was there; None without any.

    Raises UserError for an empty text and for a licence that the Hub does not know.
    """
    if text is not None and not text.strip():
        raise UserError("--data-note '': say where the images come from, or leave it out")
    if licence is not None:
        id, _, name = licence.partition(":")
        if id not in LICENCES or (name and id != "other") or licence.endswith(":"):
            near = [one for one in sorted(LICENCES) if id[:4].lower() in one][:8] or ["cc-by-4.0", "cc0-1.0", "mit"]
            raise UserError(
                f"--data-licence {licence!r} is not a licence id of the Hub: give one such as {', '.join(near)}, or other:NAME"
            )
    given = {"text": text and " ".join(text.split()), "licence": licence}
    of_other_images = ("use", "limits", "redistributable") if text is not None else ()
    kept = {key: value for key, value in (before or {}).items() if key not in of_other_images}
    note = kept | {key: value for key, value in given.items() if value}
    if licence is not None:
        note.pop("redistributable", None)  # followed from the former licence
    return note or None


def known_note(data: Mapping[str, str]) -> dict[str, Any]:
    """The note that follows from a record's lines of `data` where they name Hub datasets with known terms; {} for all others."""
    piles = [_known(line) for line in data.values()]
    known = [pile for pile in piles if pile is not None]
    if not known:
        return {}
    terms = [pile.licence if pile else "not stated" for pile in piles]
    if len(set(terms)) > 1:
        terms = [f"{side.upper()}: {one}" for side, one in zip(data, terms, strict=True)]
    note: dict[str, Any] = {"text": "; ".join(dict.fromkeys(terms))}
    if not all(pile.redistributable for pile in known):
        note["licence"] = RESEARCH
    return note | {"redistributable": len(known) == len(piles) and all(pile.redistributable for pile in known)}


def _known(line: str) -> Pile | None:
    """The pile of `DOMAINS` whose dataset and column a record's line names: "hf:ID?column=...&split=..., held out: ..."."""
    source, _, query = line.partition(", held out: ")[0].removeprefix("hf:").partition("?")
    column = dict(parse_qsl(query)).get("column")
    if not line.startswith("hf:"):
        return None
    piles = [pile for domain in DOMAINS.values() for pile in domain.piles if pile.dataset == source]
    piles = [pile for pile in piles if column in (None, pile.column)]
    return piles[0] if len({pile.licence for pile in piles}) == 1 else None
