"""Raw sound as it comes in at stdin: bytes to whole samples; the header that recorders write first is read."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from service.cli.stop import USAGE, Stop

CHUNK_SECONDS = 0.1
LONGEST_HEADER = 4096
"""Bytes."""


@dataclass
class Microphone:
    """16-bit little-endian samples of one channel; `sample_rate` is what the model hears."""

    descriptor: int
    sample_rate: int

    def chunks(self) -> Iterator[bytes]:
        """Whole samples as soon as there are any, until the sound ends; Stop where it is sound of another kind."""
        rest, started = b"", False
        size = 2 * max(1, round(CHUNK_SECONDS * self.sample_rate))
        while read := os.read(self.descriptor, size):
            rest += read
            if not started:
                if rest[:4] == b"RIFF"[: len(rest)]:
                    begins = self._sound_in(rest)
                    if begins is None:
                        continue
                    rest = rest[begins:]
                started = True
            whole = len(rest) // 2 * 2
            if whole:
                yield rest[:whole]
            rest = rest[whole:]

    def _sound_in(self, header: bytes) -> int | None:
        """Where the samples of a WAVE stream begin; None while its header has not all come."""
        at = 12
        while at + 8 <= len(header):
            name, size = header[at : at + 4], int.from_bytes(header[at + 4 : at + 8], "little")
            if name == b"data":
                return at + 8
            if name == b"fmt " and at + 24 <= len(header):
                self._check(*struct.unpack("<HHI6xH", header[at + 8 : at + 24]))
            at += 8 + size + size % 2
        if len(header) > LONGEST_HEADER:
            raise Stop("what comes begins like a WAVE file, and its sound does not begin", USAGE)
        return None

    def _check(self, kind: int, channels: int, rate: int, bits: int) -> None:
        if (channels, rate, bits) != (1, self.sample_rate, 16) or kind not in (1, 0xFFFE):
            raise Stop(
                f"what comes has {channels} channels, {rate:,} samples a second, {bits} bits; expected 1 channel "
                f"of {self.sample_rate:,} samples, 16 bits: arecord -f S16_LE -c 1 -r {self.sample_rate}",
                USAGE,
            )
