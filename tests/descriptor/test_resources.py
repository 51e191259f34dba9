"""What a machine has and what instances need of it: how it is written, kinds of accelerators, what is lacking."""

from __future__ import annotations

import pytest

from streamer.descriptor.document import Value
from streamer.descriptor.resources import Capacity, Needs, accelerator_of, parse_capacity
from streamer.errors import OptionError


def test_what_is_left_out_is_not_bounded() -> None:
    assert parse_capacity("cpu=4, gpu=3,mem=1Ki") == Capacity(4.0, 3.0, 1024)


def test_accelerators_are_told_by_kind_and_are_all_that_there_are() -> None:
    assert parse_capacity("gpu:h100=2,gpu:NVIDIA-L4=4") == Capacity(gpu=6.0, kinds={"h100": 2.0, "NVIDIA-L4": 4.0})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu=3,gpu:h100=2", "gpu= and gpu:h100= are both given"),
        ("gpu:h100=many", "gpu:h100: "),
        ("gpu:=1", "'gpu:=1' is none of cpu="),
    ],
)
def test_what_cannot_be_read_is_told_with_the_form(text: str, said: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse_capacity(text)

    assert said in str(refused.value)
    assert "gpu:h100=1" in refused.value.advice


@pytest.mark.parametrize(
    ("selector", "kind"),
    [
        ({}, ""),
        ({"disk": "ssd"}, ""),
        ({"nvidia.com/gpu.product": "NVIDIA-L4"}, "NVIDIA-L4"),
        ({"cloud.google.com/gke-accelerator": ("nvidia-l4",)}, "nvidia-l4"),
        ({"nvidia.com/gpu.product": ["NVIDIA-L4", "NVIDIA-T4"]}, ""),
    ],
)
def test_a_selector_of_nodes_names_a_kind_of_accelerator(selector: dict[str, Value], kind: str) -> None:
    assert accelerator_of(selector) == kind


def test_a_machine_lacks_a_kind_even_if_it_has_others() -> None:
    machine = parse_capacity("gpu:h100=1,gpu:l4=4")
    h100 = Needs(gpu=1.0, kinds={"h100": 1.0})

    assert machine.lacks(Needs(instances=0), h100) == ()
    assert machine.lacks(h100, h100) == ("gpu h100",)
    assert machine.lacks(h100, Needs(gpu=1.0)) == (), "who asks for any gets one of the others"


def test_a_machine_that_does_not_say_which_it_has_serves_every_kind() -> None:
    assert parse_capacity("gpu=1").lacks(Needs(instances=0), Needs(gpu=1.0, kinds={"h100": 1.0})) == ()
