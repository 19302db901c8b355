"""What holds of every catalogued corpus."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from t5music.corpora import catalogue, datasets
from t5music.corpora.base import Corpus, locate
from t5music.errors import DataError

CORPORA = list(catalogue.CATALOGUE.values())


def test_the_corpora_are_there():
    assert set(catalogue.CATALOGUE) == {
        "bach_chorales", "monteverdi", "trecento", "ryans_mammoth",
        "lakh_full", "lakh_full_by_md5", "lakh_matched", "lakh_clean", "midicaps", "nes_mdb_midi",
        "nes_mdb_tx1", "vgmidi",
        "maestro", "asap", "giantmidi", "adl_piano", "pop909", "pop909_aligned", "emopia", "emopia_clips", "pianist8",
        "jazz_piano",
        "piano_e_competition", "piano_midi_de", "nes_nsf", "web_midi",
        "jsb_chorales", "bach_370", "js_fakes", "nottingham", "openscore_lieder", "openscore_string_quartets",
        "pdmx", "thesession", "aria_midi", "aria_midi_deduped", "aria_midi_unique", "gigamidi", "metamidi",
        "symphonynet",
        "synthetic_random", "synthetic_zipf", "synthetic_nested", "synthetic_flat",
    }  # fmt: skip


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(DataError, match=r"unknown corpus 'maestr'; did you mean 'maestro'"):
        catalogue.get("maestr")


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.name)
def test_a_corpus_says_what_it_is(corpus: Corpus):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", corpus.name), "TFDS and seqio take no other names"
    for text in (corpus.title, corpus.licence, corpus.source, corpus.citation, corpus.splits):
        assert text == text.strip()
        assert text
        assert "\n" not in text
    assert corpus.installed or corpus.files > 0 or corpus.name in ("lakh_clean", "thesession"), "nobody states it"
    assert re.fullmatch(r"\d+\.\d+\.\d+", corpus.version)


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.name)
def test_its_labels_can_be_stored(corpus: Corpus):
    for label, values in corpus.labels.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", label)
        assert label not in datasets.RESERVED
        assert not label.endswith(datasets.OTHER)
        assert len(set(values)) == len(values)
        assert "" not in values


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.name)
def test_its_downloads(corpus: Corpus):
    assert len({download.name for download in corpus.downloads}) == len(corpus.downloads)
    for download in corpus.downloads:
        assert re.fullmatch(r"https?://[\w.-]+/\S+", download.url)
        assert re.fullmatch(r"|sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", download.checksum)
        assert re.fullmatch(r"[\w.-]+", download.name), "a name for a file"


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.name)
def test_its_readers_go_to_other_processes(corpus: Corpus):
    assert pickle.loads(pickle.dumps(corpus.read)) is not None


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.name)
def test_another_folder_is_not_taken_for_it(corpus: Corpus, tmp_path: Path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.wav").touch()
    with pytest.raises(DataError, match=f"is not {corpus.name}"):
        locate(corpus, tmp_path)
