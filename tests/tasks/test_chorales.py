"""The declared tasks of four parts: what they ask and answer, as stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_corpora

from t5music.data.compilation import compile_task as compiling
from t5music.data.declaration import get_task
from t5music.data.examples import FourParts, Harmonise
from t5music.data.objectives import GiveSoprano, LanguageModel, PrefixLM, SelectBars
from t5music.data.vocabulary import default
from t5music.tasks.chorales import STYLES


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("data")
    tiny_corpora.build_all(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(folder))
        yield folder


@pytest.mark.parametrize("corpus", STYLES)
def test_every_chorale_corpus_is_there_whole_in_windows_and_to_harmonise(corpus: str):
    declared = {
        f"{corpus}_grid": (FourParts(), ()),
        f"{corpus}_grid_language_model": (FourParts(), (SelectBars(), LanguageModel())),
        f"{corpus}_grid_prefix_lm": (FourParts(), (SelectBars(), PrefixLM())),
        f"{corpus}_harmonise": (Harmonise(STYLES[corpus]), (GiveSoprano(),)),
    }
    for name, (kind, steps) in declared.items():
        declaration = get_task(name)
        assert (declaration.examples, declaration.objectives) == (kind, steps)
        assert declaration.corpora == (corpus,)
        assert declaration.apart_from == ()
    if corpus != "jsb_chorales":
        declaration = get_task(f"{corpus}_grid_language_model_apart")
        assert (declaration.examples, declaration.apart_from) == (FourParts(), ("jsb_chorales",))


def test_stores_hold_whole_pieces_and_windows(data_dir: Path):
    vocabulary = default()
    whole, windows = (
        compiling.compile_task(get_task(name), data_dir, workers=1, progress=False)
        for name in ("jsb_chorales_grid", "jsb_chorales_harmonise")
    )
    steps = tiny_corpora.BARS * 16
    for split in ("train", "validation", "test"):
        pieces = whole.split(split)
        assert len(windows.split(split)) == len(pieces) * -(-steps // 128)
        for index in range(len(pieces)):
            words = vocabulary.decode(pieces[index]["targets"]).split()
            assert len(words) == 4 * steps
            window = windows.split(split)[index * -(-steps // 128)]
            assert vocabulary.decode(window["targets"]).split() == words[:512]
            question = vocabulary.decode(window["inputs"])
            assert question == "harmonise chorale: " + " ".join(words[:512:4])
