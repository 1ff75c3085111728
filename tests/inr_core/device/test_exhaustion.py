"""Memory that has run out is known in every wording, and nothing else is taken for it."""

import pytest
import torch

from inr_core import CaptureFailed, MicroBatch, is_out_of_memory

WORDINGS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("Unable to find an engine to execute this computation with the cuDNN backend"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED: no engine has enough workspace"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


def wrapped(how):
    """An error whose cause, context or compiler's inner exception is one of the above."""
    try:
        try:
            raise WORDINGS[0]
        except torch.OutOfMemoryError as error:
            if how == "cause":
                raise ValueError("while compiling") from error
            if how == "hidden":
                raise ValueError("something else") from None
            raise ValueError("while compiling")  # noqa: B904
    except ValueError as error:
        return error


@pytest.mark.parametrize("error", WORDINGS, ids=str)
def test_every_wording_is_known(error):
    assert is_out_of_memory(error)


def test_causes_are_looked_through():
    from torch._dynamo.exc import BackendCompilerFailed

    assert is_out_of_memory(wrapped("cause"))
    assert is_out_of_memory(wrapped("context"))
    assert not is_out_of_memory(wrapped("hidden"))
    assert is_out_of_memory(BackendCompilerFailed(lambda: None, WORDINGS[1], None))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        ValueError("the shop is out of memory cards"),
        KeyError("out of memory"),
    ],
    ids=str,
)
def test_other_errors_are_not(error):
    assert not is_out_of_memory(error)


def test_a_failed_capture_is_not_even_if_memory_was_its_reason():
    error = CaptureFailed("steps cannot become a CUDA graph")
    error.__cause__ = WORDINGS[0]
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", WORDINGS, ids=str)
def test_the_micro_batch_is_halved_and_the_work_done_again(error):
    def work(part):
        if part.stop - part.start > 2:
            raise error
        return list(range(part.start, part.stop))

    microbatch = MicroBatch(40)
    assert sum(microbatch.run(work, 7, images_each=4), []) == list(range(7))
    assert microbatch.images == 4


def test_other_errors_halve_nothing():
    def work(part):
        raise RuntimeError("shapes cannot be multiplied")

    microbatch = MicroBatch(40)
    with pytest.raises(RuntimeError, match="shapes"):
        microbatch.run(work, 7, images_each=4)
    assert microbatch.images == 40
