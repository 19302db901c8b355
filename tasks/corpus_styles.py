"""Corpus styles: what prompts call the music of each corpus, and the encodings that suit it."""

from collections.abc import Iterator
from typing import NamedTuple


class Suits(NamedTuple):
    """What suits a corpus.

    Attributes:
        style: what prompts call the music: `continue folk: ...`.
        encodings: the first is the one that a task's name leaves out.
    """

    style: str
    encodings: tuple[str, ...]


_BARS, _PLAYED, _CHIP, _FOUR_PARTS = ("remi",), ("remi", "performance"), ("tx1",), ("remi", "satb")

CORPORA: dict[str, Suits] = {
    "lakh_full": Suits("lakh", _BARS),
    "lakh_full_by_md5": Suits("lakh", _BARS),
    "lakh_matched": Suits("lakh", _BARS),
    "lakh_clean": Suits("lakh", _BARS),
    "web_midi": Suits("web", _BARS),
    "midicaps": Suits("lakh", _BARS),
    "nes_mdb_midi": Suits("nes", _CHIP),
    "nes_mdb_tx1": Suits("nes", _CHIP),
    "nes_nsf": Suits("nes", _CHIP),
    "vgmidi": Suits("game", _BARS),
    "maestro": Suits("piano", _PLAYED),
    "piano_e_competition": Suits("piano", _PLAYED),
    "piano_midi_de": Suits("piano", _PLAYED),
    "asap": Suits("piano", _PLAYED),
    "giantmidi": Suits("piano", _PLAYED),
    "adl_piano": Suits("piano", _BARS),
    "pop909": Suits("pop", _PLAYED),
    "pop909_aligned": Suits("pop", _BARS),
    "emopia": Suits("pop", _PLAYED),
    "emopia_clips": Suits("pop", _PLAYED),
    "pianist8": Suits("pop", _PLAYED),
    "jazz_piano": Suits("jazz", _PLAYED),
    "jsb_chorales": Suits("chorale", _FOUR_PARTS),
    "bach_370": Suits("chorale", _FOUR_PARTS),
    "bach_chorales": Suits("chorale", _FOUR_PARTS),
    "js_fakes": Suits("chorale", _FOUR_PARTS),
    "nottingham": Suits("folk", _BARS),
    "ryans_mammoth": Suits("folk", _BARS),
    "openscore_lieder": Suits("lied", _BARS),
    "openscore_string_quartets": Suits("quartet", _BARS),
    "pdmx": Suits("score", _BARS),
    "thesession": Suits("folk", _BARS),
    "aria_midi": Suits("piano", _PLAYED),
    "aria_midi_deduped": Suits("piano", _PLAYED),
    "aria_midi_unique": Suits("piano", _PLAYED),
    "gigamidi": Suits("web", _BARS),
    "metamidi": Suits("web", _BARS),
    "symphonynet": Suits("symphony", _BARS),
    "monteverdi": Suits("madrigal", _BARS),
    "trecento": Suits("trecento", _BARS),
}
# Many instruments, of which LakhNES's adapter makes music for the NES.
MULTITRACK = ("lakh_full", "lakh_matched", "lakh_clean", "midicaps", "web_midi")
# Those of `small_downstream`, of which no download is larger than a few megabytes.
SMALL_DOWNSTREAM = ("emopia", "jsb_chorales", "nottingham", "pianist8", "pop909")
# The corpora of the mixture `downstream`: whose held-out pieces the tasks called `..._apart` leave out.
DOWNSTREAM = ("adl_piano", "emopia", "jsb_chorales", "pianist8", "pop909")


def forms() -> Iterator[tuple[str, str, str, str]]:
    """Yields (how its tasks' names begin, corpus, style, encoding) for every corpus and encoding."""
    for corpus, suits in CORPORA.items():
        for number, encoding in enumerate(suits.encodings):
            yield f"{corpus}_{encoding}" if number else corpus, corpus, suits.style, encoding
