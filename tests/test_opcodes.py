"""Operation codes."""

from __future__ import annotations

from zkpy import opcodes
from zkpy.pipeline.final import READ_HANDLERS


def test_reads_and_writes_are_disjoint_and_reads_have_handlers() -> None:
    assert not opcodes.READS & opcodes.WRITES
    assert set(READ_HANDLERS) == opcodes.READS | {opcodes.DELETE_CONTAINER}  # which is refused


def test_every_client_operation_has_a_short_name() -> None:
    assert set(opcodes.SHORT_NAMES) > opcodes.WRITES | opcodes.READS


def test_internal_and_unknown_operations_are_neither() -> None:
    for op in (
        opcodes.CREATE_SESSION,
        opcodes.ERROR,
        opcodes.CHECK,
        opcodes.NOTIFICATION,
        opcodes.DELETE_CONTAINER,
    ):
        assert op not in opcodes.READS | opcodes.WRITES
