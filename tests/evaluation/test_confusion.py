"""The picture of what was taken for what says each label's recall."""

from __future__ import annotations

import matplotlib.figure
import numpy as np
import pytest

from t5music.evaluation import confusion as pictures
from t5music.evaluation.confusion import Confusion

CONFUSIONS = {
    "melody": Confusion(("Role_melody", "Role_bridge", "Role_accompaniment", ""), np.diag([6, 0, 3, 0])),
    "composer": Confusion(("bach", "satie"), np.array([[3, 1], [5, 5]])),
}


def test_every_task_has_a_panel_of_shares_without_labels_that_nobody_gave(monkeypatch: pytest.MonkeyPatch):
    drawn: list[matplotlib.figure.Figure] = []
    draw = pictures.figures.png

    def remembered(onto, width: float, height: float) -> bytes:
        return draw(lambda figure: (onto(figure), drawn.append(figure)), width, height)

    monkeypatch.setattr(pictures.figures, "png", remembered)
    assert pictures.confusion_png(CONFUSIONS).startswith(b"\x89PNG")
    melody, composer = drawn[0].axes
    assert [melody.get_title(), composer.get_title()] == list(CONFUSIONS)
    assert [label.get_text() for label in melody.get_yticklabels()] == ["Role_melody (6)", "Role_accompaniment (3)"]
    assert [text.get_text() for text in melody.texts] == ["100", "0", "0", "100"]
    assert [text.get_text() for text in composer.texts] == ["75", "25", "50", "50"]
