"""Order: which stages of a study come first, the most valuable ones. Every run and every sprint keeps to it.

1. The first seed of every setting comes before second seeds.
2. Within a seed, stages that more cells wait for come before those that fewer wait for: a shared pre-training first.
3. Of stages that equally many cells wait for, first those of the baseline, then those of the controls, then those of
   the other settings as they stand; or of all settings in the order of `study.selection`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from t5music.studies.grid import Cell, Stage


def by_value(cells: Iterable[Cell]) -> dict[Stage, Cell]:
    """Each stage that some cells need, the most valuable first, with the first cell that needs it.

    A stage comes after its parents, because whatever waits for it waits for them, too.

    Args:
        cells: in the order of the study's, all of one seed together.
    """
    first: dict[Stage, Cell] = {}
    waiting: Counter[Stage] = Counter()
    for cell in cells:
        for need in dict.fromkeys(need for stage in cell.stages.values() for need in stage.all()):
            waiting[need] += cell.seed == first.setdefault(need, cell).seed
    seeds = list(dict.fromkeys(cell.seed for cell in first.values()))
    return dict(sorted(first.items(), key=lambda item: (seeds.index(item[1].seed), -waiting[item[0]])))
