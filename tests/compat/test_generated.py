"""Scripts from a seed: the same every time, harmless for a real server, and cut down to what matters."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat import wire
from compat.generated.generate import COMMON, PROFILES, generate, withstood
from compat.generated.player import Stage
from compat.generated.shrink import shrink
from compat.generated.steps import (
    Expire,
    GeneratedScript,
    Op,
    Requests,
    Shake,
    body,
    has_odd_create,
    requests_of,
)
from compat.mutations import MUTANTS, Mutant
from compat.zkpyserver import ZkpyServer


@given(st.integers(0, 10**6))
def test_a_seed_gives_one_script(seed: int) -> None:
    script = generate(seed, 30)
    assert script == generate(seed, 30)
    assert script.profile in PROFILES
    assert len(script.steps) == 30
    assert str(script).count("\n") == 30


def test_scripts_reach_every_operation() -> None:
    codes = {op.code for seed in range(60) for step in generate(seed, 200).steps for op in requests_of(step)}
    wanted = {*range(1, 10), 11, 12, 14, 15, 16, 17, 18, 19, 21, 22, 100, 101, 103, 104, 105, 106, 107}
    assert wanted <= codes


@given(st.integers(0, 10**6))
def test_nothing_is_sent_that_a_real_server_does_not_withstand(seed: int) -> None:
    for step in generate(seed, 60).steps:
        assert all(map(withstood, requests_of(step)))


@pytest.mark.parametrize(
    "op",
    [
        Op(wire.CREATE_TTL, "/t/a", flags=0, ttl=-1),
        Op(wire.MULTI, ops=(Op(wire.CREATE_TTL, "/t/a", flags=1, ttl=-1),)),
        Op(wire.CREATE, "/zookeeper/quota/zookeeper_limits"),
    ],
)
def test_what_a_real_server_does_not_withstand_is_known(op: Op) -> None:
    assert not withstood(op)


def test_bodies_can_be_cut_and_prolonged() -> None:
    whole = body(Op(wire.DELETE, "/a", version=3))
    assert body(Op(wire.DELETE, "/a", version=3, cut=5)) == whole[:5]
    assert body(Op(wire.DELETE, "/a", version=3, extra=b"more")) == whole + b"more"


def test_set_watches_counts_back_from_what_the_session_has_seen() -> None:
    op = Op(wire.SET_WATCHES, lists=((), (), ()), behind=2)
    assert body(op, 12)[:8] == (10).to_bytes(8, "big")


def test_odd_creates_are_recognised_inside_multis() -> None:
    inner = Op(wire.CREATE_CONTAINER, "/t/a", flags=0)
    script = GeneratedScript(0, "main", (Requests("a", (Op(wire.MULTI, ops=(inner,)),)),))
    assert has_odd_create(script)
    assert not has_odd_create(attrs.evolve(script, steps=(Expire(),)))


def test_a_difference_is_cut_down_to_what_it_needs() -> None:
    script = generate(5, 200)
    wanted = {op for step in script.steps for op in requests_of(step) if op.code == wire.SET_ACL}
    first, last = Op(wire.CREATE2, "/t/x", b"data", flags=2), min(wanted, key=str)

    def shows(candidate: GeneratedScript) -> bool:
        """A create of /t/x somewhere before that setACL, whatever its data."""
        ops = [op for step in candidate.steps for op in requests_of(step)]
        creates = [n for n, op in enumerate(ops) if op.code == wire.CREATE2 and op.path == "/t/x"]
        return any(
            op.code == wire.SET_ACL and op.path == last.path for op in ops[min(creates, default=999) :]
        )

    steps = (*script.steps[:20], Requests("b", (Op(wire.PING), first, Op(wire.PING))), *script.steps[20:])
    small = shrink(attrs.evolve(script, steps=(*steps, Requests("a", (last,)))), shows)
    assert [len(requests_of(step)) for step in small.steps] == [1, 1]
    assert requests_of(small.steps[0])[0] == Op(wire.CREATE2, "/t/x")
    assert len({step.session for step in small.steps if isinstance(step, Requests)}) == 1


def test_scripts_succeed_and_fail_everywhere() -> None:
    """Played on zkpy alone: half of the writes change something, multis of all lengths included."""
    errors: Counter[int] = Counter()
    succeeded: Counter[int] = Counter()
    failed_at: Counter[int] = Counter()
    config, properties = PROFILES["main"]
    with ZkpyServer(COMMON[0] | config, COMMON[1] | properties) as server:
        for seed in range(12):
            stage = Stage(server.address)
            for reply in stage.play(generate(seed, 150, "main")).replies:
                if "reply to op 15 " in reply.note:
                    errors[reply.err or 0] += 1
                elif "reply to op 14 " in reply.note and isinstance(reply.body, list):
                    codes = [result[1] for result in reply.body[:-1]]
                    if any(codes):
                        failed_at[next(n for n, code in enumerate(codes) if code not in (0, -2))] += 1
                    else:
                        succeeded[len(codes)] += 1
            stage.leave()
    assert errors[0] > 0.5 * errors.total()
    assert all(succeeded[size] for size in range(6))
    assert all(failed_at[place] for place in range(6))


def test_handshakes_may_have_any_fields() -> None:
    shakes = [step for seed in range(300) for step in generate(seed, 200).steps if isinstance(step, Shake)]
    assert {shake.password for shake in shakes} >= {None, b"", b"short"}
    assert {shake.read_only for shake in shakes} == {b"", b"\0", b"\1"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_has_its_place(mutant: Mutant) -> None:
    from compat.zkpyserver import ROOT

    assert (ROOT / "zkpy" / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.old != mutant.new
