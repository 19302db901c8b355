"""Study mixtures: tasks together, by the families of T5's study (Raffel et al. 2019, section 3.5), on music.

| mixture | of |
|---|---|
| `pretrain_<family>` | `<corpus>_span_corruption` of the corpora of a kind: see FAMILIES |
| `pretrain_<family>_apart` | the same without what `downstream` holds out |
| `downstream` | eight tasks: composer, emotion, genre, melody, velocity, continue, infill, accompany |
| `downstream_without_<task>` | seven of them |
| `multitask_<family>`, `multitask_<family>_without_<task>` | `pretrain_<family>_apart` as one member, `downstream` |
| `small_...` | the same for two cores: four tasks, corpora of small downloads (SMALL_FAMILIES) |
| `small_understanding`, `small_generation` | two each of those four, equally |
| `midibert_pretrain`, `small_midibert_pretrain` | span corruption of piano music, of MIDI-BERT's tasks too |
| the same with `_excl_downstream` | without those corpora, and without what they hold out |
| `continue_everything`, `infill_everything`, `accompany_everything` | one task over corpora of all styles |
| `{small,medium,paper}_classical_jazz_pop` | three language models of performances, alike |
| `{small,medium,paper}_jazz_replay_<n>` | jazz, with n % of the examples classical |
| `{small,medium,paper}_pop_replay_<n>` | pop, with n % of the examples classical and jazz |
| `jazz_melodies_<n>_to_1` | jazz melodies with n times as many folk melodies, n from 1 to 6 |
| `jazz_and_folk_melodies` | the same two, to evaluate on |

A name alone is examples-proportional without a limit. To those with more than one member add

| | rates |
|---|---|
| `_equal` | all alike |
| `_k16` .. `_k21` | examples-proportional, K = 2^16 .. 2^21, as T5's study has them |
| `_t2`, `_t4`, `_t8` | temperature 2, 4, 8, with K = 2^21 as there |

Music has fewer examples than T5's text; any other K is `TrainingData.rate = @Proportional()` and
`Proportional.maximum = 4096`
in gin, which holds for all the members of a mixture. Of `multitask_...`, the unsupervised music of all corpora is one
member, as in T5's study, with one rate and one K; each corpus has the part of it that its examples are.
"""

from collections.abc import Mapping, Sequence

from t5music.corpora.catalogue import CATALOGUE
from t5music.data.declaration import add_mixture
from t5music.data.mixing_rates import EQUAL, Constant, Proportional, Rate, Together
from t5music.tasks import chorales, commons, generation, pretraining, understanding  # noqa: F401  (they declare tasks)

# The names of the tasks before `_span_corruption`; no two corpora of a family hold the same files.
FAMILIES: dict[str, tuple[str, ...]] = {
    "multitrack": ("lakh_full",),
    "classical_piano": ("maestro_performance", "asap_performance", "giantmidi_performance"),
    "popular_piano": ("adl_piano", "pop909", "emopia", "pianist8", "jazz_piano"),
    "games": ("nes_mdb_tx1", "vgmidi"),
    "chorales": ("jsb_chorales", "monteverdi", "trecento"),
    "folk": ("nottingham", "ryans_mammoth"),
}
FAMILIES["all"] = tuple(name for family in FAMILIES.values() for name in family)

DOWNSTREAM: dict[str, str] = {
    "composer": "pianist8_composer",
    "emotion": "emopia_emotion",
    "genre": "adl_piano_genre",
    "melody": "pop909_melody",
    "velocity": "pop909_velocity",
    "continue": "pop909_continue",
    "infill": "pop909_infill",
    "accompany": "jsb_chorales_accompany",
}

SMALL_FAMILIES: dict[str, tuple[str, ...]] = {
    "web": ("web_midi",),
    "classical_piano": ("piano_midi_de", "piano_e_competition"),
    "jazz": ("jazz_piano",),
    "folk": ("ryans_mammoth",),
    "vocal": ("monteverdi", "trecento"),
}
SMALL_FAMILIES["all"] = tuple(name for family in SMALL_FAMILIES.values() for name in family)

SMALL_DOWNSTREAM: dict[str, str] = {
    "composer": "pianist8_composer",
    "emotion": "emopia_emotion",
    "continue": "nottingham_continue",
    "accompany": "jsb_chorales_accompany",
}
SMALL_KINDS = {"understanding": ("composer", "emotion"), "generation": ("continue", "accompany")}

_T5_LIMIT = 2**21
RATES: dict[str, Rate] = {
    "": Proportional(),
    "_equal": EQUAL,
    **{f"_k{power}": Proportional(maximum=2**power) for power in range(16, 22)},
    **{f"_t{temperature}": Proportional(_T5_LIMIT, float(temperature)) for temperature in (2, 4, 8)},
}


def declare(
    name: str, tasks: Sequence[str], rates: Mapping[str, Rate] = RATES, *, together: Sequence[str] = ()
) -> None:
    """Declares a mixture, and one more for each further rate where there is anything to mix.

    Args:
        name: of the mixture at the first rate; the others add what `rates` has for them.
        tasks: members by themselves.
        rates: suffix -> rate of every member.
        together: tasks that are one member more, as unsupervised music of several corpora is.
    """
    for suffix, rate in rates.items():
        if len(tasks) + bool(together) > 1 or not suffix:
            one_member = dict.fromkeys(together, Together(tuple(together), rate) if len(together) > 1 else rate)
            add_mixture(name + suffix, one_member | dict.fromkeys(tasks, rate))


def declare_shares(name: str, shares: Mapping[str, float]) -> None:
    """Declares a mixture of tasks with fixed shares (in any unit) of the examples drawn, not of those there are."""
    add_mixture(name, {task: Constant(share) for task, share in shares.items()})


def declare_without_one(name: str, downstream: Mapping[str, str], unsupervised: Sequence[str] = ()) -> None:
    """Declares downstream tasks with unsupervised music as one more, at every rate; then without each one of them."""
    declare(name, list(downstream.values()), together=unsupervised)
    for left_out in downstream:
        rest = [task for label, task in downstream.items() if label != left_out]
        declare(f"{name}_without_{left_out}", rest, {"": Proportional()}, together=unsupervised)


def declare_study(
    prefix: str, families: Mapping[str, Sequence[str]], downstream: Mapping[str, str], suffix: str
) -> None:
    """Declares what T5's study trains on: each family of corpora, the downstream tasks, and both together."""
    declare_without_one(f"{prefix}downstream", downstream)
    for family, members in families.items():
        declare(f"{prefix}pretrain_{family}", [f"{member}_span_corruption" for member in members])
        apart = [f"{member}_span_corruption_{suffix}" for member in members]
        declare(f"{prefix}pretrain_{family}_apart", apart)
        declare_without_one(f"{prefix}multitask_{family}", downstream, apart)


# The quickstart pre-trains on vocal and folk music that is not Bach's, then fine-tunes on his chorales.
declare(
    "quickstart_pretrain",
    [f"{corpus}_span_corruption" for corpus in ("monteverdi", "ryans_mammoth", "trecento")],
    {"": Proportional()},
)
declare(
    "quickstart_finetune",
    ["bach_chorales_continue", "bach_chorales_accompany", "classify_composer"],
    {"": EQUAL},
)

declare_study("", FAMILIES, DOWNSTREAM, "apart")
declare_study("small_", SMALL_FAMILIES, SMALL_DOWNSTREAM, "small_apart")
for _kind, _tasks in SMALL_KINDS.items():
    declare(f"small_{_kind}", [SMALL_DOWNSTREAM[task] for task in _tasks], {"": EQUAL})

# Music whose weights may be given away (`t5music corpora --permissive`).
declare(
    "pretrain_permissive",
    [f"{name}_span_corruption" for name, corpus in CATALOGUE.items() if corpus.permissive and not corpus.text],
)

# Piano music with and without the pieces of MIDI-BERT's tasks, of which the papers pre-train on all.
MIDIBERT = ("pop909", "emopia", "pianist8")
for _prefix, _others, _suffix in (
    ("", ("asap", "giantmidi", "jazz_piano"), "apart"),
    ("small_", ("piano_midi_de", "piano_e_competition", "jazz_piano"), "small_apart"),
):
    _every = [f"{corpus}_span_corruption" for corpus in (*_others, *MIDIBERT)]
    declare(f"{_prefix}midibert_pretrain", _every, {"": Proportional()})
    _apart = [f"{corpus}_span_corruption_{_suffix}" for corpus in _others]
    declare(f"{_prefix}midibert_pretrain_excl_downstream", _apart, {"": Proportional()})

for _kind in ("continue", "infill"):
    _begins = ["nes" if member == "nes_mdb_tx1" else member for member in FAMILIES["all"]]
    declare(f"{_kind}_everything", [f"{begin}_{_kind}" for begin in _begins])
declare("accompany_everything", [f"{corpus}_accompany" for corpus in ("jsb_chorales", "nottingham", "pop909")])

# Classical, then jazz, then pop (Lin 2022), with some of what came before among what comes after.
REPLAY = (1, 5, 20)  # per cent of the examples
for _scale in pretraining.PERFORMANCES:
    _chain = _classical, _jazz, _pop = [f"{_scale}_{style}_performances" for style in ("classical", "jazz", "pop")]
    declare(f"{_scale}_classical_jazz_pop", _chain, {"": EQUAL})
    for _percent in REPLAY:
        _half = _percent / 2
        declare_shares(f"{_scale}_jazz_replay_{_percent}", {_jazz: 100 - _percent, _classical: _percent})
        declare_shares(f"{_scale}_pop_replay_{_percent}", {_pop: 100 - _percent, _classical: _half, _jazz: _half})

# Jazz melodies with so many times as many folk melodies (Hung et al. 2019), told apart by their prompts.
RATIOS = (1, 2, 3, 4, 5, 6)
for _times in RATIOS:
    declare_shares(
        f"jazz_melodies_{_times}_to_1", {"nottingham_melody_continue": _times, "jazz_piano_melody_continue": 1}
    )
declare("jazz_and_folk_melodies", ["jazz_piano_melody_continue", "nottingham_melody_continue"], {"": EQUAL})
