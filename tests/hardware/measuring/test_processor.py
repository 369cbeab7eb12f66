from __future__ import annotations

from moco.hardware.measuring.processor import Processor, parse_cpuinfo, processor

SERVER = "model name\t: Some Server CPU\nflags\t\t: fpu sse4_1 avx2 avx512f avx512_vnni\n\nmodel name\t: Other CPU\n"
BOARD = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"


def parsed(text: str) -> Processor:
    return parse_cpuinfo(text, fallback="aarch64", cores=4)


def test_name_and_relevant_instruction_sets_are_read() -> None:
    assert parsed(SERVER) == Processor("Some Server CPU", 4, ("sse4_1", "avx2", "avx512f", "avx512_vnni"))


def test_a_processor_without_a_name_has_that_of_its_machine() -> None:
    assert parsed(BOARD) == Processor("aarch64", 4, ("asimd", "asimddp"))


def test_float_blocks_are_as_wide_as_a_vector_register() -> None:
    blocks = [Processor("", 1, sets).float32_block for sets in (("avx2", "avx512f"), ("avx2",), ("asimd",))]
    assert blocks == [16, 8, 4]


def test_int8_sums_are_exact_with_dot_product_instructions_only() -> None:
    assert parsed(SERVER).int8_exact
    assert parsed(BOARD).int8_exact
    assert not Processor("", 1, ("avx2", "avx512f")).int8_exact


def test_this_machine_has_a_name_and_a_core() -> None:
    assert processor().name
    assert processor().cores >= 1
