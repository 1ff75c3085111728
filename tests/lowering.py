"""What Inductor makes of functions for a GPU that is not there: kernels and bytes, never values.

Functions are traced on the meta device, forward and backward; the graphs are then lowered as if
their tensors were on an H100, up to the point where code would be written and compiled.
"""

import copy
import dataclasses
from collections import Counter
from contextlib import ExitStack
from types import SimpleNamespace
from unittest import mock

import torch
from torch._functorch.aot_autograd import aot_function, make_boxed_func
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._inductor.debug import DebugContext
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.fx_passes.post_grad import post_grad_passes
from torch._inductor.graph import GraphLowering
from torch._inductor.virtualized import V
from torch._subclasses import FakeTensorMode
from torch.fx.passes.fake_tensor_prop import FakeTensorProp
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._triton import has_triton

H100 = SimpleNamespace(
    name="NVIDIA H100",
    major=9,
    minor=0,
    total_memory=80 * 2**30,
    multi_processor_count=132,
    warp_size=32,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    regs_per_multiprocessor=65536,
    shared_memory_per_block=49152,
    shared_memory_per_block_optin=232448,
    shared_memory_per_multiprocessor=233472,
    L2_cache_size=50 * 2**20,
    gcnArchName="",
)
INTERFACE = "torch._dynamo.device_interface.CudaInterface."
PRETENDED = {
    "torch.cuda.is_available": True,
    "torch.cuda.get_device_properties": H100,
    "torch.cuda.get_device_capability": (9, 0),
    "torch.cuda.current_device": 0,
    "torch.cuda.device_count": 1,
    "torch.cuda.is_bf16_supported": True,
    "torch.cuda._lazy_init": None,
    INTERFACE + "get_device_properties": H100,
    INTERFACE + "get_compute_capability": 90,
    INTERFACE + "is_available": True,
    INTERFACE + "Worker.get_device_properties": H100,
}


@dataclasses.dataclass
class Lowered:
    """Kernels of a function and the bytes that they read and write, forward and backward."""

    kernels: Counter = dataclasses.field(default_factory=Counter)
    bytes: Counter = dataclasses.field(default_factory=Counter)

    def of(self, function):
        """The function, counted whenever it is called; tensors within its arguments are its own."""
        plain = getattr(function, "__wrapped__", function)

        def call(*given, **named):  # named: no tensors
            tensors = []
            build = _taken_apart(given, tensors)
            traced = aot_function(
                lambda *own: plain(*build(own), **named),
                self._count(plain.__name__),
                self._count(f"{plain.__name__}, backward"),
                partition_fn=min_cut_rematerialization_partition,
                decompositions=select_decomp_table(),
            )
            with _disable_current_modes():
                return traced(*tensors)

        return call

    def _count(self, name):
        def compiler(graph, example):
            with _disable_current_modes():
                kernels, total = _lower(copy.deepcopy(graph), example)
            self.kernels[name] += kernels
            self.bytes[name] += total
            forward = make_boxed_func(graph.forward)

            def run(values):
                with _disable_current_modes():
                    return forward(values)

            run._boxed_call = True
            return run

        return compiler


class Launches(TorchDispatchMode):
    """Counts the operations that are not views: a kernel's launch each, without a compiler."""

    def __init__(self):
        super().__init__()
        self.operations = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if not function.is_view:
            self.operations[str(function)] += 1
        return function(*args, **(kwargs or {}))


def _lower(graph, example):
    """Number of kernels and bytes of a traced graph."""
    cuda = torch.device("cuda", 0)
    for node in graph.graph.nodes:
        if "device" in node.kwargs:
            node.kwargs = {**node.kwargs, "device": cuda}
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        example = [_there(value, cuda) for value in example]
    with ExitStack() as stack:
        for name, value in PRETENDED.items():
            stack.enter_context(mock.patch(name, lambda *_, value=value, **__: value))
        has_triton.cache_clear()  # it is remembered for the whole process
        stack.callback(has_triton.cache_clear)
        FakeTensorProp(graph, mode).propagate_dont_convert_inputs(*example)
        stack.enter_context(V.set_fake_mode(mode))
        stack.enter_context(V.set_debug_handler(DebugContext()))
        post_grad_passes(graph, False)
        lowering = GraphLowering(graph, example_inputs=example)
        stack.enter_context(V.set_graph_handler(lowering))
        lowering.run(*example)
        lowering.init_wrapper_code()
        lowering._update_scheduler()
        nodes = lowering.scheduler.nodes
        launched = [node for node in nodes if type(node).__name__ != "NopKernelSchedulerNode"]
        return len(launched), lowering.count_bytes()[0]


def _there(value, device):
    if not isinstance(value, torch.Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)


def _taken_apart(value, tensors):
    """Appends the tensors of a value, and returns what builds it again of others."""
    if isinstance(value, torch.Tensor):
        place = len(tensors)
        tensors.append(value)
        return lambda own: own[place]
    if isinstance(value, tuple):
        parts = [_taken_apart(part, tensors) for part in value]
        return lambda own: tuple(part(own) for part in parts)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        names = list(getattr(value, "__dict__", ()))
    fields = {name: _taken_apart(getattr(value, name), tensors) for name in names}

    def build(own):
        made = copy.copy(value)
        for name, part in fields.items():
            object.__setattr__(made, name, part(own))
        return made

    return build
