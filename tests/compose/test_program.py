"""A network as a flat list of steps: what is fused, when memory is freed, that all tables know all operations."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest

import atrous
from atrous.compose.activation import RELU
from atrous.compose.chain import chain
from atrous.compose.cpu import CPU
from atrous.compose.leaves import Endpoint, Subsample
from atrous.compose.parallel import Parallel
from atrous.compose.program import Pass, for_inference, fused, lowered, run
from atrous.compose.residual import Residual
from atrous.compose.styles import SHORT
from atrous.conv.receptive_field import ReceptiveField

SIZE = (2, 8, 8)
TINY = [name for name in atrous.networks() if name.startswith("tiny_")]


def conv(name, c=2, f=2, **options):
    return SHORT.conv(name, c, f, bias=True, **options)


def ops(program):
    return [step.op for step in program.steps]


def test_a_chain_is_one_step_for_each_operation():
    norm = SHORT.norm("n", 2)
    program = lowered(chain(conv("a"), norm, RELU), SIZE)
    assert [(s.op, s.reads, s.writes) for s in program.steps] == [
        ("conv", (0,), (1,)), ("norm", (1,), (2,)), ("activation", (2,), (3,)),
    ]  # fmt: skip
    assert program.output == 3
    (step,) = fused(program).steps
    assert (step.op, step.reads, step.writes) == ("conv", (0,), (3,))
    assert step.what[0][1] == Pass(norm=norm, activation="relu")


def test_a_shortcut_joins_the_pass_of_the_convolution_that_ends_later():
    norm = SHORT.norm("n", 2)
    (step,) = fused(lowered(Residual(chain(conv("a"), norm)), SIZE)).steps
    assert step.reads == (0, 0)
    assert step.what[0][1] == Pass(norm=norm, add=1, activation="relu")

    both = fused(lowered(Residual(chain(conv("a"), RELU), conv("b")), SIZE)).steps
    assert [s.what[0][0].w for s in both] == ["a.w", "b.w"]
    assert both[0].what[0][1] == Pass(activation="relu")
    assert both[1].what[0][1] == Pass(add=1, activation="relu")
    assert both[1].reads == (0, both[0].writes[0])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param(chain(RELU, conv("a")), ["activation", "conv"], id="ReLU before"),
        pytest.param(chain(conv("a"), RELU, SHORT.norm("n", 2)), ["conv", "norm"], id="norm after ReLU"),
        pytest.param(chain(conv("a"), Endpoint("e"), RELU), ["conv", "activation"], id="endpoint in between"),
        pytest.param(Residual(chain(conv("a"), Endpoint("e"))), ["conv", "join", "activation"],
                     id="endpoint before the sum"),
        pytest.param(Residual(chain(conv("a"), RELU), relu=False), ["conv", "join"], id="sum after ReLU"),
        pytest.param(Residual(chain(conv("a"), RELU), Subsample(1)), ["conv", "subsample", "join", "activation"],
                     id="no convolution last"),
        pytest.param(Residual(Residual(conv("a"), relu=False)), ["conv", "join", "activation"], id="second sum"),
        pytest.param(chain(Residual(conv("a"), relu=False), SHORT.norm("n", 2)), ["conv", "norm"],
                     id="norm after sum"),
        pytest.param(Parallel((conv("a"), conv("b")), "sum"), ["conv", "join"], id="one step writes both"),
        pytest.param(Parallel((conv("a"), conv("b")), "max"), ["conv", "join"], id="maximum"),
    ],
)  # fmt: skip
def test_what_is_not_fused(part, expected):
    assert ops(fused(lowered(part, SIZE, ["e"]))) == expected


@pytest.mark.parametrize("name", TINY)
def test_every_slot_is_written_once_before_it_is_read(name):
    network = atrous.build(name)
    for endpoints in ((), network.endpoint_names[:-1]):
        plain = lowered(network.body, (3, 259, 257), endpoints)
        for program in (plain, fused(plain)):
            written = {0}
            for step, free in zip(program.steps, program.last_reads(), strict=True):
                assert set(step.reads) <= written
                assert written.isdisjoint(step.writes)
                written.update(step.writes)
                written.difference_update(free)
            assert written == program.kept
    assert Counter(ops(plain))["norm"] == sum(
        after.norm is not None for step in fused(plain).steps if step.op == "conv" for _, after in step.what
    )
    assert "norm" not in ops(fused(plain))


def test_memory_is_freed_after_the_last_read(rng):
    part = chain(conv("a"), conv("b"), conv("c"))
    program = fused(lowered(part, SIZE))
    assert program.last_reads() == [(0,), (1,), (2,)]
    # Two maps of 2 × 8 × 8 numbers are needed at a time.
    assert program.memory() == 2 * 4 * 2 * 64
    assert program.memory(itemsize=8) == 2 * program.memory()
    wide = fused(lowered(Residual(chain(conv("a", f=6), conv("b", c=6))), SIZE))
    assert wide.memory() == 4 * 64 * (2 + 6 + 2)


@pytest.mark.parametrize("name", ["tiny_deeplabv3plus_xception65", "tiny_deeplabv2_resnet101_aspp"])
def test_the_memory_of_the_summary_is_what_a_run_holds(name):
    """Every operation makes an empty result, so that feature maps are all there is."""
    network = atrous.build(name)
    program = network.program((257, 257))
    steps = iter(program.steps)

    def empty(what, p, *reads):
        step = next(steps)
        made = [np.ones((1, *program.values[slot].shape), np.float32) for slot in step.writes]
        return made if step.op == "conv" else made[0]

    tracemalloc.start()
    run(program, dict.fromkeys(CPU, empty), {}, np.ones((1, 3, 257, 257), np.float32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The caller keeps the input.
    image = 4 * 3 * 257**2
    assert abs(peak - network.summary(257).memory) <= image + 0.02 * peak


def test_every_table_knows_every_operation(rng):
    used = {
        op for name in TINY for op in ops(lowered(atrous.build(name).body, (3, 259, 257)))
    } | {"subsample", "deconv", "crf"}  # fmt: skip
    assert used == set(CPU)
    pytest.importorskip("torch")
    from atrous.bench import torch_steps

    assert set(torch_steps.table()) == set(CPU) - {"crf"}, "PyTorch has no dense CRF to compare with"


def test_cuda_knows_every_operation():
    try:
        from atrous.compose.cuda import CUDA
    except Exception as error:
        pytest.skip(f"numba.cuda cannot be imported: {error}")
    assert set(CUDA) == set(CPU)


@pytest.mark.torch
@pytest.mark.parametrize("name", [*TINY, "small strided"])
def test_pytorch_runs_the_same_steps(name, rng):
    pytest.importorskip("torch")
    from atrous.bench import torch_steps
    from atrous.experiments.networks import small

    deconvolved = {"stages": 5, "output_stride": 32, "start": "random"}
    network = atrous.build(name) if name in TINY else small("strided", **deconvolved)
    params, state = network.init(rng)
    x = rng.standard_normal((1, 3, *((257, 225) if "dense_vgg16" in name else (49, 65))), np.float32)
    expected = network.infer(params, state, x)
    found = torch_steps.forward(
        network.body, torch_steps.tensors({**params, **state}), torch_steps.tensors({"x": x})["x"]
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_receptive_fields_are_followed():
    part = chain(conv("a", stride=2), conv("b", rate=2))
    program = lowered(part, SIZE)
    assert program.values[program.output].field == ReceptiveField(11, 2, 0.0)
    assert ReceptiveField(11, 2, 0.0) == atrous.receptive_field([(3, 2), (3, 1, 2)])


def test_the_same_size_is_lowered_once(rng):
    network = atrous.build("tiny_deeplabv3_resnet50")
    for_inference.cache_clear()
    params, state = network.init(rng)
    for size in (33, 33, 41):
        network.infer(params, state, rng.standard_normal((1, 3, size, size), np.float32))
    assert for_inference.cache_info()[:2] == (1, 2)


def test_a_table_may_be_replaced(rng):
    """A profile is a table of functions that take the time."""
    seen = []
    part = chain(conv("a"), conv("b"))
    arrays = {name: rng.standard_normal(v.shape) for name, v in part.variables().items()}
    table = {**CPU, "conv": lambda what, p, *reads: seen.append(what[0][0].w) or CPU["conv"](what, p, *reads)}
    run(fused(lowered(part, SIZE)), table, arrays, rng.standard_normal((1, *SIZE)))
    assert seen == ["a.w", "b.w"]
