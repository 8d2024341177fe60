"""What ZooKeeper guarantees about watches, on the tables alone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zkpy.errors import MarshallingError
from zkpy.tree.watches import (
    ONE_SHOT,
    PERSISTENT,
    RECURSIVE,
    TYPE_ANY,
    TYPE_CHILDREN,
    TYPE_DATA,
    TYPE_PERSISTENT,
    TYPE_PERSISTENT_RECURSIVE,
    Watches,
)

ALL_TYPES = (TYPE_CHILDREN, TYPE_DATA, TYPE_ANY, TYPE_PERSISTENT, TYPE_PERSISTENT_RECURSIVE)


class Connection:
    """A watcher that counts how often a dict looked it up."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.hashed = 0

    def __hash__(self) -> int:
        self.hashed += 1
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return self.name


def fixture() -> tuple[Watches[Connection], Connection, Connection]:
    return Watches(), Connection("A"), Connection("B")


def types_held(watches: Watches[Connection], path: bytes, watcher: Connection) -> list[int]:
    return [kind for kind in ALL_TYPES if watches.contains(path, watcher, kind)]


def delete(watches: Watches[Connection], path: bytes, parent: bytes) -> list[list[Connection]]:
    """The three triggers of a delete: data, child without those, child of the parent."""
    told = watches.trigger_data(path)
    return [list(told), list(watches.trigger_child(path, told)), list(watches.trigger_child(parent))]


# One-shot watches


def test_a_one_shot_data_watch_fires_once() -> None:
    watches, a, _ = fixture()
    watches.add_data(b"/w", a)
    assert list(watches.trigger_data(b"/w")) == [a]
    assert list(watches.trigger_data(b"/w")) == []
    assert watches.total_count == 0


def test_exists_and_get_data_on_one_path_are_one_watch() -> None:
    watches, a, _ = fixture()
    watches.add_data(b"/w", a)
    watches.add_data(b"/w", a)
    assert watches.total_count == watches.data_count == 1
    assert list(watches.trigger_data(b"/w")) == [a]


def test_watchers_are_told_in_the_order_they_registered() -> None:
    watches, a, b = fixture()
    watches.add_data(b"/w", b)
    watches.add_data(b"/w", a)
    assert list(watches.trigger_data(b"/w")) == [b, a]


def test_data_and_child_watches_do_not_see_each_others_triggers() -> None:
    watches, a, b = fixture()
    watches.add_data(b"/w", a)
    watches.add_child(b"/w", b)
    assert list(watches.trigger_child(b"/w")) == [b]
    assert list(watches.trigger_data(b"/w")) == [a]


def test_one_shot_watches_ignore_changes_deeper_down() -> None:
    watches, a, b = fixture()
    watches.add_data(b"/w", a)
    watches.add_child(b"/w", a)
    watches.add_recursive(b"/elsewhere", b)
    assert list(watches.trigger_data(b"/w/c")) == []
    assert list(watches.trigger_child(b"/w/c")) == []
    assert watches.total_count == 3


def test_data_and_child_watch_on_a_deleted_node_give_one_event_and_are_both_consumed() -> None:
    watches, a, b = fixture()
    watches.add_data(b"/w", a)
    watches.add_child(b"/w", a)
    watches.add_child(b"/w", b)
    watches.add_child(b"/", a)
    assert delete(watches, b"/w", b"/") == [[a], [b], [a]]
    assert watches.total_count == 0


# Persistent and recursive watches


def test_a_persistent_watch_survives_every_event_including_deletion() -> None:
    watches, a, _ = fixture()
    watches.add_persistent(b"/w", a)
    for _ in range(2):
        assert list(watches.trigger_data(b"/w")) == [a]
        assert list(watches.trigger_child(b"/w")) == [a]
        assert delete(watches, b"/w", b"/") == [[a], [], []]
    assert list(watches.trigger_data(b"/w/c")) == []


def test_a_recursive_watch_sees_every_descendant_but_no_list_of_children() -> None:
    watches, a, _ = fixture()
    watches.add_recursive(b"/w", a)
    for path in (b"/w", b"/w/c", b"/w/c/d"):
        assert list(watches.trigger_data(path)) == [a]
        assert list(watches.trigger_child(path)) == []
    for path in (b"/", b"/w2", b"/x/w", b"/x"):
        assert list(watches.trigger_data(path)) == []


def test_a_recursive_watch_of_the_root_sees_everything() -> None:
    watches, a, _ = fixture()
    watches.add_recursive(b"/", a)
    for path in (b"/", b"/w", b"/w/c"):
        assert list(watches.trigger_data(path)) == [a]


def test_two_recursive_watches_over_a_path_give_one_event() -> None:
    watches, a, b = fixture()
    watches.add_recursive(b"/", a)
    watches.add_recursive(b"/w", b)
    watches.add_recursive(b"/w", a)
    watches.add_data(b"/w/c", a)
    assert list(watches.trigger_data(b"/w/c")) == [a, b]


def test_recursive_watchers_of_ancestors_come_nearest_first() -> None:
    watches, a, b = fixture()
    watches.add_recursive(b"/", a)
    watches.add_recursive(b"/w", b)
    assert list(watches.trigger_data(b"/w/c")) == [b, a]


def test_a_recursive_watcher_above_is_told_of_a_deletion_once() -> None:
    watches, a, _ = fixture()
    watches.add_recursive(b"/w", a)
    watches.add_child(b"/w/c", a)
    assert delete(watches, b"/w/c", b"/w") == [[a], [], []]
    assert types_held(watches, b"/w/c", a) == []


def test_persistent_and_recursive_together_report_a_new_child_in_both_ways() -> None:
    watches, a, _ = fixture()
    watches.add_persistent(b"/w", a)
    watches.add_recursive(b"/w", a)
    assert list(watches.trigger_data(b"/w/c")) == [a]
    assert list(watches.trigger_child(b"/w")) == [a]
    assert list(watches.trigger_data(b"/w")) == [a]


def test_firing_takes_the_one_shot_mode_and_leaves_the_others() -> None:
    watches, a, _ = fixture()
    watches.add_data(b"/w", a)
    watches.add_child(b"/w", a)
    watches.add_persistent(b"/w", a)
    watches.add_recursive(b"/w", a)
    assert types_held(watches, b"/w", a) == [1, 2, 3, 4, 5]
    watches.trigger_data(b"/w")
    assert types_held(watches, b"/w", a) == [1, 3, 4, 5]
    watches.trigger_child(b"/w")
    assert types_held(watches, b"/w", a) == [3, 4, 5]


def test_a_result_stays_as_it_is_while_the_tables_change() -> None:
    watches, a, b = fixture()
    watches.add_persistent(b"/w", a)
    told = watches.trigger_data(b"/w")
    watches.add_data(b"/w", b)
    watches.remove_watcher(a)
    assert list(told) == [a]


# checkWatches, removeWatches


def test_data_and_children_types_mean_one_shot_watches_only() -> None:
    watches, a, _ = fixture()
    watches.add_persistent(b"/w", a)
    assert types_held(watches, b"/w", a) == [TYPE_ANY, TYPE_PERSISTENT]
    assert not watches.remove(b"/w", a, TYPE_DATA)
    assert not watches.remove(b"/w", a, TYPE_CHILDREN)
    assert watches.total_count == 2


def test_removing_persistent_clears_both_tables_and_nothing_else() -> None:
    watches, a, _ = fixture()
    watches.add_persistent(b"/w", a)
    watches.add_recursive(b"/w", a)
    watches.add_child(b"/w", a)
    assert watches.remove(b"/w", a, TYPE_PERSISTENT)
    assert types_held(watches, b"/w", a) == [TYPE_CHILDREN, TYPE_ANY, TYPE_PERSISTENT_RECURSIVE]


def test_removing_any_clears_every_mode_of_both_tables() -> None:
    watches, a, b = fixture()
    watches.add_data(b"/w", a)
    watches.add_child(b"/w", a)
    watches.add_persistent(b"/w", a)
    watches.add_recursive(b"/w", a)
    watches.add_data(b"/w", b)
    assert watches.remove(b"/w", a, TYPE_ANY)
    assert types_held(watches, b"/w", a) == []
    assert list(watches.trigger_data(b"/w")) == [b]
    assert not watches.remove(b"/w", a, TYPE_ANY)
    watches.check_invariants()


def test_removal_concerns_the_asking_connection_and_the_exact_path_only() -> None:
    watches, a, b = fixture()
    watches.add_recursive(b"/w", a)
    for kind in ALL_TYPES:
        assert not watches.remove(b"/w", b, kind)
        assert not watches.remove(b"/w/c", a, kind)
    assert watches.remove(b"/w", a, TYPE_PERSISTENT_RECURSIVE)
    assert list(watches.trigger_data(b"/w/c")) == []


def test_removing_one_watch_leaves_the_connections_others() -> None:
    watches, a, _ = fixture()
    watches.add_data(b"/w", a)
    watches.add_data(b"/x", a)
    assert watches.remove(b"/w", a, TYPE_DATA)
    assert list(watches.trigger_data(b"/w")) == []
    assert list(watches.trigger_data(b"/x")) == [a]


@pytest.mark.parametrize("watcher_type", [0, 6, 9, -1])
def test_an_unknown_watcher_type_is_a_marshalling_error(watcher_type: int) -> None:
    watches, a, _ = fixture()
    watches.add_data(b"/w", a)
    with pytest.raises(MarshallingError):
        watches.contains(b"/w", a, watcher_type)
    with pytest.raises(MarshallingError):
        watches.remove(b"/w", a, watcher_type)
    assert watches.total_count == 1


@pytest.mark.parametrize("path", [b"", b"relative", b"/w/", b"//", b"\xff"])
def test_add_watch_takes_any_path(path: bytes) -> None:
    watches, a, _ = fixture()
    watches.add_persistent(path, a)
    watches.add_recursive(path, a)
    assert list(watches.trigger_data(b"/w")) == []
    assert list(watches.trigger_data(path)) == [a]
    assert watches.remove(path, a, TYPE_ANY)
    watches.check_invariants()


# Closing


def test_watches_vanish_with_their_connection() -> None:
    watches, a, b = fixture()
    for watcher in (a, b):
        watches.add_data(b"/d", watcher)
        watches.add_child(b"/c", watcher)
        watches.add_persistent(b"/p", watcher)
        watches.add_recursive(b"/r", watcher)
    watches.remove_watcher(a)
    watches.check_invariants()
    assert list(watches.trigger_data(b"/r/x")) == [b]
    assert list(watches.trigger_child(b"/c")) == [b]
    watches.remove_watcher(b)
    watches.remove_watcher(b)
    assert watches.total_count == 0
    assert list(watches.paths()) == []


# What is reported; compared with a live 3.9.5


def test_wchs_counts_the_data_table_and_the_watch_count_both() -> None:
    watches, a, b = fixture()
    watches.add_child(b"/w", a)
    assert (watches.data_watcher_count, watches.data_path_count, watches.data_count) == (0, 0, 0)
    assert watches.total_count == 1
    watches.add_data(b"/w", a)
    watches.add_persistent(b"/w", a)
    watches.add_recursive(b"/w", a)
    assert (watches.data_watcher_count, watches.data_path_count, watches.data_count) == (1, 1, 1)
    assert watches.total_count == 2
    watches.add_data(b"/zz", b)
    watches.add_persistent(b"/p", b)
    assert (watches.data_watcher_count, watches.data_path_count, watches.data_count) == (2, 3, 3)
    assert watches.total_count == 5


def test_wchc_and_wchp_list_the_data_table() -> None:
    watches, a, b = fixture()
    watches.add_child(b"/c", a)
    watches.add_data(b"/w", a)
    watches.add_data(b"/w", b)
    watches.add_persistent(b"/p", b)
    assert {watcher: list(paths) for watcher, paths in watches.data_by_watcher()} == {
        a: [b"/w"],
        b: [b"/w", b"/p"],
    }
    assert {path: list(watchers) for path, watchers in watches.data_by_path()} == {b"/w": [a, b], b"/p": [b]}
    assert list(watches.paths()) == [b"/w", b"/p", b"/c"]


def test_a_connection_whose_watches_all_fired_is_still_listed_without_paths() -> None:
    watches, a, _ = fixture()
    watches.add_data(b"/w", a)
    watches.trigger_data(b"/w")
    assert (watches.data_watcher_count, watches.data_path_count, watches.data_count) == (1, 0, 0)
    assert [(watcher, list(paths)) for watcher, paths in watches.data_by_watcher()] == [(a, [])]
    watches.add_data(b"/w", a)
    watches.remove(b"/w", a, TYPE_ANY)
    assert watches.data_watcher_count == 0


# Cost


def test_a_trigger_costs_by_the_watchers_of_its_path_alone() -> None:
    watches: Watches[Connection] = Watches()
    crowd = [Connection(str(number)) for number in range(500)]
    for number, watcher in enumerate(crowd):
        watches.add_data(b"/other/%d" % number, watcher)
        watches.add_recursive(b"/elsewhere/%d" % number, watcher)
        watches.add_data(b"/other/all", watcher)
    lone = Connection("lone")
    watches.add_data(b"/w", lone)
    for watcher in (*crowd, lone):
        watcher.hashed = 0
    assert list(watches.trigger_data(b"/w")) == [lone]
    assert sum(watcher.hashed for watcher in crowd) == 0
    assert lone.hashed <= 3


def test_closing_a_connection_costs_by_its_own_watches_alone() -> None:
    watches: Watches[Connection] = Watches()
    crowd = [Connection(str(number)) for number in range(500)]
    for watcher in crowd:
        watches.add_data(b"/shared", watcher)
    for watcher in crowd:
        watcher.hashed = 0
    watches.remove_watcher(crowd[0])
    assert sum(watcher.hashed for watcher in crowd[1:]) == 0
    assert crowd[0].hashed <= 4


# Against a naive model

DATA, CHILD = "data", "child"
PATHS = (b"/", b"/a", b"/a/b", b"/a/b/c", b"/ab", b"/b")
paths = st.sampled_from(PATHS)
numbers = st.integers(0, 2)


def at_or_above(ancestor: bytes, path: bytes) -> bool:
    return ancestor in (b"/", path) or path.startswith(ancestor + b"/")


class AgainstModel(RuleBasedStateMachine):
    """The model is a plain set of (table, path, watcher, mode), searched from end to end each time."""

    def __init__(self) -> None:
        super().__init__()
        self.watches: Watches[Connection] = Watches()
        self.connections = [Connection("A"), Connection("B"), Connection("C")]
        self.held: set[tuple[str, bytes, int, int]] = set()

    def model_trigger(self, table: str, path: bytes) -> set[int]:
        told = {
            number
            for where, at, number, mode in self.held
            if where == table and (at == path or (mode == RECURSIVE and at_or_above(at, path)))
        }
        self.held -= {entry for entry in self.held if entry[:2] == (table, path) and entry[3] == ONE_SHOT}
        return told

    def model_matching(self, path: bytes, number: int, kind: int) -> set[tuple[str, bytes, int, int]]:
        wanted = {
            TYPE_CHILDREN: {(CHILD, ONE_SHOT)},
            TYPE_DATA: {(DATA, ONE_SHOT)},
            TYPE_ANY: {
                (table, mode) for table in (DATA, CHILD) for mode in (ONE_SHOT, PERSISTENT, RECURSIVE)
            },
            TYPE_PERSISTENT: {(DATA, PERSISTENT), (CHILD, PERSISTENT)},
            TYPE_PERSISTENT_RECURSIVE: {(DATA, RECURSIVE)},
        }[kind]
        return {
            entry for entry in self.held if entry[1:3] == (path, number) and (entry[0], entry[3]) in wanted
        }

    def check_told(self, told: Iterable[Connection], expected: set[int]) -> None:
        listed = list(told)
        assert len(listed) == len(expected)
        assert {self.connections.index(watcher) for watcher in listed} == expected

    @rule(path=paths, number=numbers)
    def add_data(self, path: bytes, number: int) -> None:
        self.watches.add_data(path, self.connections[number])
        self.held.add((DATA, path, number, ONE_SHOT))

    @rule(path=paths, number=numbers)
    def add_child(self, path: bytes, number: int) -> None:
        self.watches.add_child(path, self.connections[number])
        self.held.add((CHILD, path, number, ONE_SHOT))

    @rule(path=paths, number=numbers)
    def add_persistent(self, path: bytes, number: int) -> None:
        self.watches.add_persistent(path, self.connections[number])
        self.held |= {(DATA, path, number, PERSISTENT), (CHILD, path, number, PERSISTENT)}

    @rule(path=paths, number=numbers)
    def add_recursive(self, path: bytes, number: int) -> None:
        self.watches.add_recursive(path, self.connections[number])
        self.held.add((DATA, path, number, RECURSIVE))

    @rule(path=paths)
    def trigger_data(self, path: bytes) -> None:
        self.check_told(self.watches.trigger_data(path), self.model_trigger(DATA, path))

    @rule(path=paths)
    def trigger_child(self, path: bytes) -> None:
        self.check_told(self.watches.trigger_child(path), self.model_trigger(CHILD, path))

    @rule(path=paths)
    def trigger_delete(self, path: bytes) -> None:
        told = self.watches.trigger_data(path)
        expected = self.model_trigger(DATA, path)
        self.check_told(told, expected)
        self.check_told(self.watches.trigger_child(path, told), self.model_trigger(CHILD, path) - expected)

    @rule(path=paths, number=numbers, kind=st.sampled_from(ALL_TYPES))
    def remove(self, path: bytes, number: int, kind: int) -> None:
        matching = self.model_matching(path, number, kind)
        assert self.watches.remove(path, self.connections[number], kind) == bool(matching)
        self.held -= matching

    @rule(number=numbers)
    def close(self, number: int) -> None:
        self.watches.remove_watcher(self.connections[number])
        self.connections[number] = Connection("again")
        self.held = {entry for entry in self.held if entry[2] != number}

    @invariant()
    def agree(self) -> None:
        self.watches.check_invariants()
        for path in PATHS:
            for number, watcher in enumerate(self.connections):
                for kind in ALL_TYPES:
                    found = self.watches.contains(path, watcher, kind)
                    assert found == bool(self.model_matching(path, number, kind))
        assert self.watches.total_count == len({entry[:3] for entry in self.held})
        assert self.watches.data_count == len({entry[:3] for entry in self.held if entry[0] == DATA})
        assert set(self.watches.paths()) == {entry[1] for entry in self.held}


TestAgainstModel = AgainstModel.TestCase
TestAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
