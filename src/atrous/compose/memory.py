"""Memory that feature maps leave behind, for the next maps of a network.

Memory that comes fresh from the system is filled with zeros, page by page, when it is first written: for a network
whose maps take 17 MB each, that is a twentieth of the time. Here a map's memory comes back when the last array that
views it is gone.

Role: inference.
"""

from __future__ import annotations

import math

import numpy as np

from atrous.conv.channels_last import aligned, as_map


class _Lease:
    """Bytes on loan: NumPy keeps this object alive as long as an array views them."""

    def __init__(self, memory, buffer):
        self.memory, self.buffer = memory, buffer
        self.__array_interface__ = buffer.__array_interface__

    def __del__(self):
        self.memory.take_back(self.buffer)


class Memory:
    """Lends memory for feature maps with the channels last, and takes it back when they are gone."""

    def __init__(self):
        self.free, self.lent = [], 0

    def take_back(self, buffer):
        """Keep a buffer for the next map, unless the network is done; never keep more bytes than are on loan."""
        self.lent -= buffer.size
        if self.free is not None:
            self.free.append(buffer)
            while sum(buffer.size for buffer in self.free) > max(self.lent, buffer.size):
                del self.free[0]

    def empty(self, shape, dtype):
        """Return an array (N, C, *S) with the channels last in memory; its values are not set."""
        count = math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        fitting = [i for i, buffer in enumerate(self.free) if size <= buffer.size <= 2 * size]
        best = min(fitting, key=lambda i: self.free[i].size, default=None)
        buffer = aligned(size, np.uint8) if best is None else self.free.pop(best)
        self.lent += buffer.size
        return as_map(np.asarray(_Lease(self, buffer))[:size].view(dtype), shape)

    def close(self):
        """Let go of all memory; what is on loan is freed when its arrays are gone."""
        self.free = None
