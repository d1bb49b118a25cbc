"""The CUDA device that is not there: what it refuses, and what it counts of what it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.gpu_budget.account import Account, Stage
from benchmarks.gpu_budget.driver import fake_cuda
from benchmarks.gpu_budget.fake_cuda import CUDA, DeviceTensor, MixedDevicesError


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    with fake_cuda(made):
        yield made


def kinds(stage: Stage) -> Counter[str]:
    return Counter(kernel.kind for kernel in stage.other)


def test_values_are_real_and_say_that_they_lie_on_the_device(account: Account) -> None:
    numbers = torch.arange(4, device=CUDA) * 2
    assert (numbers.device, numbers.is_cuda) == (CUDA, True)
    assert numbers.cpu().tolist() == [0, 2, 4, 6]
    assert kinds(account.now) == {"arange": 1, "mul": 1, "copy to the host": 1}
    assert account.now.to_host_bytes == 4 * 8


def test_tensors_of_host_and_device_in_one_operator_are_refused(account: Account) -> None:
    numbers = torch.ones(3, device=CUDA)
    with pytest.raises(MixedDevicesError, match=r"add.*device \(3,\), host \(3,\).*to_device"):
        numbers + torch.ones(3)
    with pytest.raises(MixedDevicesError):
        torch.cat([torch.ones(1), numbers])
    assert (numbers + torch.tensor(2.0)).sum().item() == 9, "a single number goes along with the kernel"


@pytest.mark.parametrize("index", [torch.tensor([1, 0]), torch.tensor([True, False, True])])
def test_a_host_tensor_as_an_index_into_one_of_the_device_is_refused(account: Account, index: torch.Tensor) -> None:
    with pytest.raises(MixedDevicesError, match=r"index.*host"):
        torch.ones(3, device=CUDA)[index]
    with pytest.raises(MixedDevicesError, match="index_put"):
        torch.ones(3, device=CUDA)[index] = 2.0


def test_what_waits_for_the_device_is_counted(account: Account) -> None:
    numbers = torch.tensor([3, 0, 5], device=CUDA)
    assert numbers[numbers > 0].tolist() == [3, 5]  # the mask's size, and the copy
    assert int(numbers[0]) == 3
    numbers.repeat_interleave(torch.tensor([1, 1, 2], device=CUDA))
    numbers.repeat_interleave(torch.tensor([1, 1, 2], device=CUDA), output_size=4)
    torch.cuda.current_stream(CUDA).synchronize()
    assert Counter(why.split()[0] for why in account.now.waits.elements()) == {
        "index": 1, "_to_copy": 1, "_local_scalar_dense": 1, "repeat_interleave": 1, "synchronize": 1,
    }  # fmt: skip


def test_copies_from_memory_that_is_not_page_locked_are_told_apart(account: Account) -> None:
    page_locked, pageable = torch.ones(8, pin_memory=True), torch.ones(4)
    assert page_locked.is_pinned()
    assert not pageable.is_pinned()
    page_locked.to(CUDA, non_blocking=True)
    pageable.to(CUDA, non_blocking=True)
    assert (account.now.to_device_bytes, account.now.pageable_bytes) == (12 * 4, 4 * 4)


def test_a_copy_to_the_host_that_runs_beside_it_is_no_wait_but_what_waits_for_it_is(account: Account) -> None:
    numbers, place = torch.ones(3, device=CUDA), torch.empty(3, pin_memory=True)
    place.copy_(numbers, non_blocking=True)
    assert not account.now.waits
    torch.cuda.Event().synchronize()
    place.copy_(numbers)
    assert account.now.waits.total() == 2
    assert account.now.to_host_bytes == 2 * 12


def test_a_convolution_and_its_bias_are_two_passes_and_a_linear_layer_is_one(account: Account) -> None:
    batch, weight = torch.ones(2, 8, 5, 5, device=CUDA).half(), torch.ones(4, 8, 1, 1, device=CUDA).half()
    bias = torch.ones(4, device=CUDA).half()
    account.clear()
    by_convolution = F.conv2d(batch, weight, bias)
    assert kinds(account.now) == {"convolution 1x1": 1, "bias of a convolution": 1}
    assert sum(kernel.flops for kernel in account.now.other) == 2 * 2 * 25 * 8 * 4
    read, written = 2 * (2 * 8 * 25 + 4 * 8 + 4), 2 * (2 * 4 * 25)
    assert sum(kernel.bytes for kernel in account.now.other) == read + written + 2 * written
    channels_last = batch.to(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    account.clear()
    linear = F.linear(channels_last, weight[:, :, 0, 0], bias)
    assert kinds(account.now) == {"addmm": 1}
    assert torch.equal(linear.permute(0, 3, 1, 2), by_convolution)


@pytest.mark.parametrize(("head", "kernels"), [(16, {"_scaled_dot_product_flash_attention": 1}), (15, {
    "_scaled_dot_product_flash_attention": 1, "constant_pad_nd": 3, "fill of a pad": 3})])  # fmt: skip
def test_attention_is_one_kernel_and_other_heads_than_multiples_of_eight_are_padded(
    account: Account, head: int, kernels: dict[str, int]
) -> None:
    values = torch.rand(3, 2, 4, 7, head).half()
    query, key, value = values.to(CUDA)
    account.clear()
    ours = F.scaled_dot_product_attention(query, key, value, scale=0.3)
    assert kinds(account.now) == kernels
    expected = F.scaled_dot_product_attention(*values.float(), scale=0.3)
    torch.testing.assert_close(ours.cpu().float(), expected, rtol=1e-2, atol=1e-2)


def test_a_network_without_values_is_counted_and_what_needs_one_is_an_error(account: Account) -> None:
    batch = torch.rand(2, 3, 8, 8, device=CUDA).hollow()
    account.clear()
    with account.network():
        pooled = F.relu(F.max_pool2d(batch, 2))
    assert tuple(pooled.shape) == (2, 3, 4, 4)
    assert [kernel.kind for kernel in account.now.network] == ["max_pool2d_with_indices", "relu"]
    with pytest.raises(RuntimeError, match="needs a value"):
        pooled.sum().item()


def test_the_shape_of_a_call_is_what_the_network_sees_after_it_is_filled_up(account: Account) -> None:
    batch, weight = torch.zeros(3, 3, 8, 8, device=CUDA).hollow(), torch.zeros(4, 3, 3, 3, device=CUDA)
    account.clear()
    account.call(tuple(batch.shape))
    with account.network():
        F.conv2d(F.conv2d(torch.cat([batch, batch[:1]]), weight), torch.zeros(1, 4, 1, 1, device=CUDA))
    assert account.now.shapes == [(4, 3, 8, 8)]
    assert len(account.now.plans) == 2


def test_pixels_that_are_gathered_count_and_not_all_that_could_be(account: Account) -> None:
    pages, places = torch.zeros(100_000, device=CUDA), torch.arange(10, device=CUDA)
    account.clear()
    pages[places]
    pages.index_add_(0, places, torch.ones(10, device=CUDA))
    assert all(kernel.bytes <= 10 * (8 + 4 + 4 + 4 + 4 + 4) for kernel in account.now.other)


def test_an_operator_of_ours_is_one_launch_whose_values_its_cpu_kernel_makes(account: Account) -> None:
    with torch.library._scoped_library("quintet", "FRAGMENT") as library:
        library.define("twice_for_test(Tensor x) -> Tensor")
        library.impl("twice_for_test", lambda x: (x + x).clone(), "CPU")
        numbers = torch.ones(3, device=CUDA)
        account.clear()
        doubled = torch.ops.quintet.twice_for_test(numbers)
        assert isinstance(doubled, DeviceTensor)
        assert kinds(account.now) == {"twice_for_test": 1}
        assert doubled.cpu().tolist() == [2, 2, 2]


def test_afterwards_there_is_no_device_any_more() -> None:
    available = torch.cuda.is_available()
    with fake_cuda(Account()):
        assert torch.cuda.is_available()
        left_over = torch.ones(2, device=CUDA)
    assert torch.cuda.is_available() is available
    with pytest.raises(RuntimeError, match="outside of fake_cuda"):
        left_over + 1
