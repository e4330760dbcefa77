"""The old names of `recipes/pair_rules.py`, until every room asks the rules' own attributes."""

from __future__ import annotations

from cyclegan_hub.recipes.pair_rules import PAIR_RULES

RULES = {name: rule for name, rule in PAIR_RULES.items() if rule.derived}
SHRINK = 4
