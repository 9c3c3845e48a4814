"""Memory of feature maps: it comes back, it is shared only by maps that do not live together, and it is let go."""

import gc
import weakref

import numpy as np

from atrous import build
from atrous.compose.memory import Memory
from atrous.conv.channels_last import is_channels_last


def test_memory_comes_back_when_the_last_view_is_gone():
    memory = Memory()
    a = memory.empty((2, 3, 4, 5), np.float32)
    assert a.shape == (2, 3, 4, 5)
    assert a.dtype == np.float32
    assert is_channels_last(a)
    view, at = a[:, 1:], a.ctypes.data
    assert at % 64 == 0
    del a
    b = memory.empty((2, 3, 4, 5), np.float32)
    assert b.ctypes.data != at
    del b
    b = memory.empty((2, 3, 4, 6), np.float32)
    assert b.shape == (2, 3, 4, 6)
    assert not np.shares_memory(b, view)
    del view
    assert memory.empty((2, 3, 5, 4), np.float32).ctypes.data == at
    assert memory.empty((1, 3, 4, 5), np.float64).ctypes.data == at


def test_a_much_smaller_map_does_not_take_a_large_one():
    memory = Memory()
    held = memory.empty((1, 8, 8, 9), np.float32)
    at = memory.empty((1, 8, 8, 8), np.float32).ctypes.data
    small = memory.empty((1, 8, 8, 3), np.float32)
    assert small.ctypes.data not in (at, held.ctypes.data)
    assert memory.empty((1, 8, 8, 4), np.float32).ctypes.data == at
    assert held.size


def test_no_more_is_kept_than_is_on_loan():
    memory = Memory()
    maps = [memory.empty((1, 4, 4, n), np.float32) for n in range(1, 9)]
    while maps:
        maps.pop()
        assert sum(b.size for b in memory.free) <= max(sum(a.nbytes for a in maps), memory.free[-1].size)


def test_closed_memory_is_let_go():
    memory = Memory()
    a = memory.empty((1, 2, 3, 4), np.float32)
    a[:] = 5
    buffer = weakref.ref(a.base.base if a.base.base is not None else a.base)
    memory.close()
    assert (a == 5).all()
    del a
    gc.collect()
    assert buffer() is None
    assert memory.free is None


def test_results_own_their_memory(rng):
    network = build("tiny_torchvision_deeplabv3_resnet50", 3)
    params, state = network.init(rng)
    x, other = rng.standard_normal((2, 1, 3, 33, 33)).astype(np.float32)
    first = network.endpoints(params, state, x)
    kept = {name: a.copy() for name, a in first.items()}
    network.endpoints(params, state, other)
    for name, a in first.items():
        assert a.flags.c_contiguous
        np.testing.assert_array_equal(a, kept[name])
