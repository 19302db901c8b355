"""What a score says, whatever its resolution: to compare it with what was written and read again."""

from __future__ import annotations

import numpy as np

from t5music.music.score import Score


def content(score: Score) -> dict[str, list]:
    """What a score says, with times in quarters; of changes those that change something."""

    def quarters(array: np.ndarray, *fields: str) -> list[tuple]:
        columns = [array[field] / score.ticks_per_quarter for field in fields]
        others = [array[field] for field in array.dtype.names if field not in fields]
        return sorted(zip(*(column.tolist() for column in (*columns, *others)), strict=True))

    def changed(rows: list[tuple]) -> list[tuple]:
        return [row for index, row in enumerate(rows) if not index or row[1:] != rows[index - 1][1:]]

    starts, meters = score.bars()
    return {
        "notes": quarters(score.notes, "onset", "duration"),
        "names": list(score.track_names),
        "bars": [
            (start / score.ticks_per_quarter, *meter) for start, meter in zip(starts, meters.tolist(), strict=True)
        ],
        "keys": changed(quarters(score.keys, "tick")),
        "tempos": changed(quarters(score.tempos, "tick")),
    }
