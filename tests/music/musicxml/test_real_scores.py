"""Real scores: OpenScore's songs and quartets."""

from __future__ import annotations

from pathlib import Path

import pytest
from score_content import content

from t5music.music import midi
from t5music.music.musicxml import read_mended, to_bytes

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("archive", "count"), [("openscore_lieder", 12), ("openscore_quartets", 1)])
def test_real_scores_are_read_and_come_back_alike(real_music, archive: str, count: int):
    paths = sorted(Path(real_music(archive)).glob("*.mxl"), key=lambda path: path.stat().st_size)
    for path in paths[:: max(1, len(paths) // (2 * count))][:count]:
        reading = read_mended(path)
        score = reading.score
        assert reading.mended == ()
        assert midi.read(midi.to_bytes(score)) == score
        assert content(read_mended(to_bytes(score)).score) == content(score)
