"""What a processor computes in, and how weights lie in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from moco.models import arithmetic
from moco.models.arithmetic import arithmetic_of, channels_last, computing_in, has_bfloat16
from tests.compression.toys import images, tiny

IMAGES = images(4, 1, 8)


@pytest.fixture
def asked_anew() -> Iterator[None]:
    has_bfloat16.cache_clear()
    yield
    has_bfloat16.cache_clear()


def private(monkeypatch: pytest.MonkeyPatch, answer: bool | None) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        if answer is None:
            monkeypatch.delattr(torch.cpu, name, raising=False)
        else:
            monkeypatch.setattr(torch.cpu, name, lambda: answer, raising=False)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx512f\n", False),
        ("Features\t: fp asimd bf16\n", True),
        (None, False),
    ],
)
def test_bfloat16_is_told_by_torch_or_by_the_system(
    text: str | None, has: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_anew: None
) -> None:
    monkeypatch.setattr(arithmetic, "CPUINFO", tmp_path / "cpuinfo")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    private(monkeypatch, None)  # a torch that no longer has the functions
    assert has_bfloat16() is has
    assert arithmetic_of("auto") == ("bfloat16" if has else "float32")
    assert (arithmetic_of("float32"), arithmetic_of("bfloat16")) == ("float32", "bfloat16")
    has_bfloat16.cache_clear()
    private(monkeypatch, True)
    assert has_bfloat16()


def test_in_bfloat16_products_are_rounded_and_statistics_stay_in_float32() -> None:
    network = tiny().train()
    seen: dict[str, torch.dtype] = {}
    network.layer1[0].conv1.register_forward_hook(lambda *a: seen.update(conv=a[2].dtype))
    before = network.bn1.running_mean.clone()
    with computing_in("bfloat16"):
        logits = network(IMAGES)
    assert seen == {"conv": torch.bfloat16}
    assert network.bn1.running_mean.dtype == torch.float32
    assert not torch.equal(network.bn1.running_mean, before)
    plain = tiny().train()(IMAGES)
    assert not torch.equal(logits.float(), plain)
    torch.testing.assert_close(logits.float(), plain, rtol=0.1, atol=0.1)


def test_weights_lie_channels_last_within_and_as_new_afterwards() -> None:
    network, new = tiny(), tiny()
    wanted = network(IMAGES)
    with channels_last(network, IMAGES) as order:
        assert order is torch.channels_last
        weight = network.layer1[0].conv2.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()
        torch.testing.assert_close(network(IMAGES.contiguous(memory_format=order)), wanted)
    strides = {name: tensor.stride() for name, tensor in network.state_dict().items()}
    assert strides == {name: tensor.stride() for name, tensor in new.state_dict().items()}
    assert torch.equal(network(IMAGES), wanted)


class Viewing(nn.Module):
    """Flattens by a view, which takes contiguous activations alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 3, 3), nn.Linear(108, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.conv(x).view(len(x), -1))  # type: ignore[no-any-return]


def test_a_network_that_views_its_activations_stays_contiguous() -> None:
    network = Viewing()
    with channels_last(network, IMAGES) as order:
        assert order is torch.contiguous_format
        assert network(IMAGES.contiguous(memory_format=order)).shape == (4, 2)
