"""Voices: which program each MIDI channel has, and whether it is percussion, as they change.

- A program holds from its program change on, for notes struck after it.
- Percussion is channel 10, and what GS and XG declare by SysEx (see `system_exclusive`), and what a program change
  begins after bank select (controller 0) 126 or 127 in XG, 120 in GM2, until a program change after another bank. In a
  file that declares neither, such a bank counts if the program is one of their kits: in older files bank 127 has the
  sounds of the MT-32, as it has in GS. Bank 121 is melodic on channel 10, too. (No bank select can say the "bank 128"
  of SoundFonts.)
- In XG a program change with a bank also overrides an earlier Part Mode, but bank 0 never makes channel 10 melodic, as
  it would on a device: in all files that say so, percussion is meant.
- A GM, GS or XG reset makes channel 10 of its port alone percussion. Programs stay, for in many files they stand before
  a reset, at the same tick.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t5music.music.midi.system_exclusive import GM2, GS, XG, Effect, Percussion, Reset, WrongChecksum

DRUM_BANKS = {120: GM2, 126: XG, 127: XG}  # rhythm; sound effects and drums
MELODIC_BANK = 121  # GM2's
KITS = {0, 1, 8, 16, 24, 25, 32, 40, 48}  # programs of the drum kits of XG, and but for one of GM2
DRUM_CHANNEL = 9


class Voices:
    """Programs and percussion of the channels. Events are to be told in the order in which they are played.

    A place is channel << `channel_shift` | moment, and a moment a number in that order.

    Attributes:
        banks: the bank that was selected last in each channel.
        resets: (moment, port) of each reset.
        wrong_checksums: how many messages were not obeyed because of it.
    """

    def __init__(self, channel_shift: int) -> None:
        self.channel_shift = channel_shift
        self.programs: dict[int, int] = {}
        self.banks: dict[int, int] = {}
        self.drum_parts: dict[int, bool] = {}  # as SysEx says
        self.drum_banks: dict[int, bool] = {}  # as a program change says
        self.modes: dict[int, str] = {}  # of each port
        self.places: list[int] = []  # of the changes
        self.values: list[int] = []  # what holds from there on, as `at` has it
        self.resets: list[tuple[int, int]] = []
        self.wrong_checksums = 0

    def change_program(self, channel: int, moment: int, program: int) -> None:
        self.programs[channel] = program
        bank, mode = self.banks.get(channel), self.modes.get(channel >> 4)
        if bank is not None and mode != GS:
            self.drum_banks.pop(channel, None)
            if mode == XG and self.drum_parts.get(channel):
                del self.drum_parts[channel]
            if bank == MELODIC_BANK:
                self.drum_banks[channel] = False
            elif bank in DRUM_BANKS and (mode == DRUM_BANKS[bank] or program in KITS):
                self.drum_banks[channel] = True
        self._change(channel, moment)

    def obey(self, port: int, moment: int, effect: Effect | None) -> None:
        match effect:
            case WrongChecksum():
                self.wrong_checksums += 1
            case Percussion(number, is_drums):
                channel = port << 4 | number
                self.drum_parts[channel] = is_drums
                self._change(channel, moment)
            case Reset(mode):
                self.modes[port] = mode
                self.resets.append((moment, port))
                for channel in range(port << 4, (port + 1) << 4):
                    for table in (self.banks, self.drum_parts, self.drum_banks):
                        table.pop(channel, None)
                    self._change(channel, moment)

    def _change(self, channel: int, moment: int) -> None:
        drums = self.drum_parts.get(channel, self.drum_banks.get(channel, channel & 15 == DRUM_CHANNEL))
        self.places.append(channel << self.channel_shift | moment)
        self.values.append(self.programs.get(channel, 0) << 1 | drums)

    def at(self, places: NDArray) -> NDArray:
        """What holds at these places (int64 [events]): the program << 1 | whether it is percussion."""
        channels = places >> self.channel_shift
        default = (channels & 15 == DRUM_CHANNEL).astype(np.int64)
        if not self.places:
            return default
        changes = np.array([-1, *self.places])
        values = np.array([0, *self.values])
        order = changes.argsort(kind="stable")  # a reset changes all at one moment
        latest = order[changes[order].searchsorted(places, side="right") - 1]
        return np.where(changes[latest] >> self.channel_shift == channels, values[latest], default)
