"""Label Studio's run lengths: those of @thi.ng/rle-pack over the four channels of a picture, of which the last counts.

32 bits hold the number of words, 5 their size less one, four times 4 the sizes of run lengths less one. Then come
groups: a bit (1: one word is repeated, 0: words follow one by one), two bits that choose a size, the length less one,
and the word or words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voin.core.errors import ValueRefusal
from voin.io.masks.annotations.shapes import runs_of

_CHANNELS = 4
_WORD = 8  # bits
_LENGTHS = (3, 4, 8, 16)  # bits of run lengths that are written


def unpack_brush(packed: Sequence[Any], size: tuple[int, int], where: str) -> np.ndarray:
    """Return a mask, bool (h, w): what is opaque by half and more."""
    count = _CHANNELS * size[0] * size[1]
    # A word that is not repeated takes 12 bits at the most.
    if len(packed) > 2 * count + 16 or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in packed):
        raise _refusal(where)
    data = bytes(packed)
    bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
    at = 0

    def take(length: int) -> int:
        nonlocal at
        if at + length > len(bits):
            raise _refusal(where)
        at += length
        return int(bits[at - length : at], 2)

    if take(32) != count or take(5) + 1 != _WORD:
        raise _refusal(where, f"it must be of {size[1]}x{size[0]} pixels in four channels of 8 bits")
    lengths = [take(4) + 1 for _ in range(4)]
    words, done = np.zeros(count, np.uint8), 0
    while done < count:
        repeated, length = take(1), take(lengths[take(2)]) + 1
        if done + length > count:
            raise _refusal(where)
        if repeated:
            words[done : done + length] = take(_WORD)
        else:
            found = take(_WORD * length).to_bytes(length, "big")
            words[done : done + length] = np.frombuffer(found, np.uint8)
        done += length
    return words.reshape(*size, _CHANNELS)[..., -1] >= 128


def pack_brush(mask: np.ndarray) -> list[int]:
    """Return what `unpack_brush` reads as this mask, bool (h, w)."""
    groups = [f"{_CHANNELS * mask.size:032b}{_WORD - 1:05b}", *(f"{length - 1:04b}" for length in _LENGTHS)]
    most = 1 << _LENGTHS[-1]
    for place, run in enumerate(runs_of(mask.ravel())):
        left, word = _CHANNELS * run, 255 * (place % 2)
        while left:
            length = min(left, most)
            size = next(bits for bits in _LENGTHS if length <= 1 << bits)
            groups.append(f"1{_LENGTHS.index(size):02b}{length - 1:0{size}b}{word:08b}")
            left -= length
    bits = "".join(groups)
    bits += "0" * (-len(bits) % 8)
    return [*int(bits, 2).to_bytes(len(bits) // 8, "big")]


def _refusal(where: str, must: str = "it must be whole") -> ValueRefusal:
    return ValueRefusal(f"{where} has a brush that cannot be read", must, "export the file again")
