"""Tasks of four parts: chorales as a language model of the grid, whole, and as harmonies of a melody.

| task | of |
|---|---|
| `<corpus>_grid` | whole pieces in satb, to evaluate on: nats a cell, as the papers on the JSB chorales have it |
| `<corpus>_grid_language_model`, `<corpus>_grid_prefix_lm` | windows of the same that begin with a bar, to train on |
| `<corpus>_grid_language_model_apart` | the same without what `jsb_chorales` holds out, to pre-train on |
| `<corpus>_harmonise` | `harmonise chorale: <soprano>` -> all four voices |

A piece that has not four parts is left out, and counted as such by `t5music compile`.
"""

from t5music.data.declaration import add_task
from t5music.data.examples import FourParts, Harmonise
from t5music.data.objectives import LanguageModel, PrefixLM, SelectBars

STYLES = dict.fromkeys(("jsb_chorales", "bach_370", "bach_chorales", "js_fakes"), "chorale")
STYLES["openscore_string_quartets"] = "quartet"  # music21's madrigals have five voices

for _corpus, _style in STYLES.items():
    add_task(f"{_corpus}_grid", _corpus, FourParts())
    for _objective in (LanguageModel(), PrefixLM()):
        add_task(f"{_corpus}_grid_{_objective.name}", _corpus, FourParts(), (SelectBars(), _objective))
    if _corpus != "jsb_chorales":
        _steps = (SelectBars(), LanguageModel())
        add_task(f"{_corpus}_grid_language_model_apart", _corpus, FourParts(), _steps, apart_from=("jsb_chorales",))
    add_task(f"{_corpus}_harmonise", _corpus, Harmonise(_style))
