"""Which models can be compared with each other, in tables by size and budget."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from gan.config import BUDGETS, RECIPES, Budget, standard_config
from gan.data import sources
from gan.zoo.cards import ModelCard, is_imported

#: The sizes of the two articles, and two smaller ones.
ZOO_SIZES = (50, 100, *sources.ARTICLE_SIZES)
ZOO_RECIPES = ("plain", "rescue")
#: The models of one recipe, by size, budget and snapshot.
Table = dict[tuple[int, str, str], ModelCard]


def comparable(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """The digit models that differ in size, budget, recipe and seed only. Leaves out models whose
    settings were changed during training, and imported ones, which were measured elsewhere."""
    return [
        c
        for c in cards
        if c.config.source == "mnist"
        and c.config == standard_config(c.config)
        and "continued_from" not in c.provenance
        and not is_imported(c)
    ]


def tables(cards: Sequence[ModelCard]) -> dict[str, Table]:
    """A table per recipe, in the order of `RECIPES`. Each cell has one run, the first in ``cards``: the
    pretrained one if there is one."""
    run_of: dict[tuple[str, int, str], Path] = {}
    found: dict[str, Table] = {r: {} for r in RECIPES if any(c.recipe == r for c in cards)}
    for card in cards:
        cell = (card.recipe, card.size, card.budget)
        if run_of.setdefault(cell, card.evidence_path) == card.evidence_path:
            found[card.recipe][card.size, card.budget, card.snapshot] = card
    return found


def missing(cards: Sequence[ModelCard]) -> list[tuple[str, int, Budget]]:
    """(recipe, size, budget) of the models that a complete zoo has and ``cards`` does not."""
    there = {
        (c.recipe, c.size, c.budget) for c in cards if (c.source, c.snapshot) == ("mnist", "final")
    }
    cells = itertools.product(ZOO_RECIPES, ZOO_SIZES, BUDGETS)
    return [cell for cell in cells if cell not in there]
