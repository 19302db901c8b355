"""Music from music: continuation and accompaniment."""

from t5music.data.examples import Accompany, Continue
from t5music.data.seqio_tasks import add_task

add_task("bach_chorales_continue", "bach_chorales", Continue("chorale", "remi", words=192))
add_task("bach_chorales_accompany", "bach_chorales", Accompany("chorale", "remi", part="soprano", bars=6))
