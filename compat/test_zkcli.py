"""Every command of ZooKeeper's command line prints the same with the tested server as with a real one.

Each script is fed to a fresh real server and to a fresh server of the tested kind with the same
settings, so that even the zxids must agree; only times, session ids and ports are masked.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat import realzk, results, zkcli
from compat.conftest import KINDS
from compat.process import ServerFailed, ServerProcess

CONFIG = {"enforceQuota": "true", "reconfigEnabled": "true"}
PROPERTIES = {
    "zookeeper.extendedTypesEnabled": "true",
    # The superuser's password is "test".
    "zookeeper.DigestAuthenticationProvider.superDigest": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
}

NODES = """
version
ls /
create /a
create /a one
create /b one words
create -s /seq- s
create -s /seq- s
create -e /eph mine
create -e -s /eph/child x
create -e -s /es- x
create -c /box
create -c -e /bad
create -t 100000 /ttl later
create -t 100000 -s /ttl- later
create -t 100000 -e /bad
create -t x /bad
create -t 9999999999999999 /bad
create /none/child
create /a/b data world:anyone:cdrw
create relative
create /a//b
create /a/
create
create /a/c null
create /a/d ""
create /a/e "quoted words"
create /a/f übergröße
ls /
ls -s /a
ls -R /
ls -R /a
ls /none
ls
ls -q /
ls -?
get /a/b
get -s /a/b
get /a
get -s /eph
get -s /box
get -s /ttl
get -s /ttl-0000000007
get -b /a/b
get -x /a/b
get /a/f
get /none
get
stat /a
stat /none
stat
set /a new
set -s /a newer
set -v 1 /a no
set -v 2 /a yes
set -b /a aGVsbG8=
get /a
stat /a
set /none x
set /a
getAllChildrenNumber /
getAllChildrenNumber /a
getAllChildrenNumber /none
getAllChildrenNumber
getEphemerals
getEphemerals /eph
getEphemerals /none
getEphemerals relative
sync /
sync /none
sync
whoami
delete /a
delete -v 9 /a/b
delete -v 0 /a/b
delete /none
delete /a/c 0
delete
create /a/g
create /a/g/h
create /a/g/i
deleteall /a -b 2
ls /a
stat /
deleteall /none
deleteall -b x /box
deleteall -b 1 /box
deleteall
quit
"""

SHELL = """
bogus
create /a one
create /a/b x
delete /a/b
redo 2
redo 3
redo 1
redo 999
redo
history
printwatches
printwatches off
printwatches
printwatches on
printwatches
ls /zookeeper
ls -R /zookeeper
stat /zookeeper
delete /zookeeper
delete /zookeeper/quota
deleteall /zookeeper/quota
get /zookeeper/config
set /zookeeper/config x
create /zookeeper/x
ls /zookeeper
config
config -s
config -c
config -w
reconfig
reconfig -add server.5=localhost:2234:2235:observer;2236
reconfig -remove 5
reconfig -s -v 3 -remove 5
reconfig -members server.1=localhost:1:2;3
reconfig -remove 3 -members server.1=localhost:1:2;3
addauth
addauth digest super:test
whoami
reconfig -remove 5
set /zookeeper/config abc
config
config -s
quit
"""

WATCHES = """
create /w one
create /w/c x
get -w /w
set /w two
set /w three
ls -w /w
create /w/d
delete /w/d
stat -w /w/none
create /w/none
get -s -w /w
ls -s -w /w
stat -w /w
delete /w/none
addWatch /w
create /w/e x
set /w/e y
delete /w/e
removewatches /w -a
set /w four
addWatch -m PERSISTENT /w
create /w/f
create /w/f/g
set /w five
removewatches /w -p
removewatches /w -d
get -w /w
removewatches /w -d
ls -w /w
removewatches /w -c
removewatches /none -a
removewatches /w
removewatches /w -a -l
addWatch -m PERSISTENT_RECURSIVE /w
removewatches /w -r
addWatch -m BOGUS /w
addWatch
addWatch /nothing/here
create /nothing
create /nothing/here
get -w /w
ls -w /w/f
deleteall /w
printwatches off
stat -w /later
create /later
sync /
ls /
sync /
printwatches on
quit
"""

ACLS = """
whoami
addauth digest ann:secret
whoami
create /open x
getAcl /open
getAcl -s /open
getAcl /none
getAcl
create /mine x auth::cdrwa
getAcl /mine
create /digest x digest:bob:9AgoX+KyrTLTRpMMc9fQZgOsTYE=:r
getAcl /digest
get /digest
set /digest y
create /ip x ip:127.0.0.1:cdrwa
get /ip
setAcl /ip ip:10.0.0.0/8:r,world:anyone:a
get /ip
getAcl /ip
setAcl /ip world:anyone:cdrwa
get /ip
create /bad x nope:me:r
create /bad x world:somebody:r
create /bad x ip:300.1.1.1:r
create /bad x world
setAcl -s /open world:anyone:cdrwa
setAcl -v 1 /open world:anyone:crwa
setAcl -v 1 /open world:anyone:cdrwa
create /open/a x
create /open/a/b x
create /open/c x
setAcl -R /open world:anyone:cra
getAcl /open/a/b
getAcl /open/c
setAcl -s -R /open world:anyone:cdrwa
setAcl /none world:anyone:r
setAcl /open
setAcl
create /lock x world:anyone:a
get /lock
ls /lock
set /lock x
create /lock/a
stat /lock
getAcl /lock
addauth digest super:test
whoami
get /digest
get /lock
create /lock/a
getAcl /digest
deleteall /lock
quit
"""

QUOTAS = """
create /q
create /q/a x
create /q/sub
setquota -n 4 /q
setquota -b 100 /q
listquota /q
listquota /none
listquota /
listquota
ls -R /zookeeper/quota
get /zookeeper/quota/q/zookeeper_limits
get -s /zookeeper/quota/q/zookeeper_stats
setquota -N 5 /q
setquota -B 20 /q
listquota /q
create /q/c1
create /q/c2
create /q/c3
getAllChildrenNumber /q
set /q/a 0123456789
set /q/a 0123456789012345678901234567890
get /q/a
create /q/sub/deep
listquota /q
get -s /zookeeper/quota/q/zookeeper_stats
setquota -n 3 /q/sub
setquota -n 3 /
setquota -N 1 /q
setquota -b 1 /q
setquota -n 0 /q
setquota -N 0 /q
setquota -b -1 /q
setquota -B -1 /q
setquota -n x /q
setquota -n 3 /none
setquota -n 3 /zookeeper/quota
setquota -n 3
setquota
setquota -n 1 -b 2 /q
delquota -n /q
listquota /q
delquota -b /q
delquota -N /q
listquota /q
delquota -B /q
listquota /q
create /q/c4
delquota /q
listquota /q
delquota /q
delquota /none
delquota
setquota -N 10 /q
delete /q/c1
listquota /q
delquota /q
ls -R /zookeeper/quota
quit
"""

SESSIONS = """
create -e /gone x
create -s -e /gone- x
create /kept x
ls /
getEphemerals
getEphemerals /gone-
get -w /kept
close
ls /
version
close
connect {address}
ls /
getEphemerals
set /kept y
get -s /kept
connect {address}
create -e /again x
ls /
connect {address}/kept
ls /
create /inner x
get -w /inner
set /inner y
get /
create -e /inner/eph
getEphemerals
connect {address}
ls -R /kept
stat /kept/inner
quit
"""

SCRIPTS = {
    "nodes": NODES,
    "shell": SHELL,
    "watches": WATCHES,
    "acls": ACLS,
    "quotas": QUOTAS,
    "sessions": SESSIONS,
}

# What a real server's transcript must show, or the comparison would say nothing.
EXPECTED = {
    "nodes": {
        "create /a": "Created /a",
        "create -s /seq- s": "Created /seq-0000000001",
        "create -c /box": "Created /box",
        "create -t 100000 -s /ttl- later": "Created /ttl-0000000007",
        "create -t 9999999999999999 /bad": "ttl must be positive",
        "get -s /eph": "ephemeralOwner = 0xSESSION",
        "get -s /a/b": "ctime = TIME",
        "get /a/f": "übergröße",
        "set -v 1 /a no": "version No is not valid",
        "getEphemerals": "[/eph, /es-0000000004]",
        "sync /": "Sync is OK",
        "delete /a": "Node not empty",
        "whoami": "ip: 127.0.0.1",
    },
    "shell": {
        "bogus": "Command not found",
        "redo 1": "Node already exists",
        "history": "2 - create /a/b x",
        "delete /zookeeper": "Arguments are not valid",
        "set /zookeeper/config x": "Insufficient permission",
        "reconfig -remove 5": "Unimplemented",
        "config -s": "aclVersion = -1",
        "config": "",
    },
    "watches": {
        "removewatches /none -a": "No such watcher",
        "get -s -w /w": "dataVersion = 2",
    },
    "acls": {
        "getAcl /mine": "'digest,'ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM=",
        "get /digest": "Insufficient permission",
        "create /bad x nope:me:r": "Acl is not valid",
        "getAcl /open/a/b": ": cra",
        "whoami": "ip: 127.0.0.1",
    },
    "quotas": {
        "listquota /q": "Output quota for /q count=4,bytes=100",
        "create /q/c3": "Quota has exceeded",
        "set /q/a 0123456789012345678901234567890": "Quota has exceeded",
        "setquota -n 3 /q/sub": "has a parent /q which has a quota",
        "delquota /none": "Quota does not exist",
    },
    "sessions": {
        "getEphemerals": "[/gone, /gone-0000000001]",
        "ls /": "[gone, gone-0000000001, kept, zookeeper]",
        "ls -R /kept": "/kept/inner",
        "version": "Not connected",
    },
}
EXPECTED_EVENTS = {
    "shell": ("type:NodeDataChanged path:/zookeeper/config",),
    "watches": (
        "type:NodeCreated path:/w/none zxid: 8",
        "type:NodeDataChanged path:/w zxid: 4",
        "type:NodeChildrenChanged path:/w zxid: 6",
        "type:NodeDeleted path:/w/e zxid: 12",
        "type:PersistentWatchRemoved path:/w zxid: -1",
        "type:DataWatchRemoved path:/w zxid: -1",
        "type:ChildWatchRemoved path:/w zxid: -1",
    ),
    "sessions": ("type:NodeDataChanged path:/inner",),
}

Reference = Callable[[str], zkcli.Transcript]
Record = Callable[[str, object], None]

NO_COMMANDS = {"(start)", "bogus"}
"""What is in the transcripts besides the commands: the greeting, and a word that nobody knows."""
EVENTS = "(watch events)"
STATUS = "(exit status)"


def commands(name: str) -> list[str]:
    return SCRIPTS[name].strip().splitlines()


def transcript(kind: str, name: str, classpath: str) -> zkcli.Transcript:
    server: ServerProcess
    with KINDS[kind](CONFIG, PROPERTIES) as server:
        try:
            return zkcli.run_script(classpath, server.address, commands(name))
        except zkcli.CommandLineFailed as error:
            raise AssertionError(f"{kind}: {error}\nThe server's log:\n{server.log()}") from error


@pytest.fixture(scope="session")
def reference(classpath: str) -> Reference:
    """The real server's transcript of a script, made once."""
    made: dict[str, zkcli.Transcript] = {}

    def get(name: str) -> zkcli.Transcript:
        if name not in made:
            made[name] = transcript("java", name, classpath)
        return made[name]

    return get


def record_commands(record: Record, kind: str, name: str, compared: list[zkcli.Compared] | str) -> None:
    """A result for each command of a script; a text instead says why there is no transcript."""
    if isinstance(compared, str):
        words = {command.split()[0] for command in commands(name)}
        compared = [zkcli.Compared(word, 1, compared) for word in sorted(words - NO_COMMANDS)]
    for one in compared:
        if one.name in NO_COMMANDS:
            continue
        counts = {"answers": one.answers}
        record(*results.of("zkcli", one.name, kind, one.problem and f"{name}: {one.problem}", counts=counts))


@pytest.mark.parametrize("name", SCRIPTS)
def test_same_transcript(
    kind: str, name: str, classpath: str, reference: Reference, record_property: Record
) -> None:
    expected = reference(name)
    for command, part in EXPECTED[name].items():
        assert part in expected.output(command), command
    for part in EXPECTED_EVENTS.get(name, ()):
        assert any(part in event for event in expected.events), part
    assert bool(expected.events) == (name in EXPECTED_EVENTS)

    try:
        found = transcript(kind, name, classpath)
    except (AssertionError, ServerFailed) as error:
        record_commands(record_property, kind, name, str(error))
        raise
    record_commands(record_property, kind, name, zkcli.compare(found, expected, events=EVENTS, status=STATUS))
    assert str(found).splitlines() == str(expected).splitlines()


def test_events_are_not_printed_when_they_are_turned_off(reference: Reference) -> None:
    assert not any("/later" in event for event in reference("watches").events)


def test_every_command_is_used(reference: Reference) -> None:
    usage = reference("shell").output("bogus").splitlines()
    known = {line.split()[0] for line in usage if line.startswith("\t")}
    assert len(known) == 28
    used = {command.split()[0] for name in SCRIPTS for command in commands(name)}
    assert known <= used


def test_exit_status_of_a_single_command(kind: str, classpath: str, record_property: Record) -> None:
    with KINDS[kind]({}, {}) as server:
        made = zkcli.run_command(classpath, server.address, "create", "/one", "1")
        missing = zkcli.run_command(classpath, server.address, "get", "/none")
    found = [(one.status, one.exchanges[0].output[-1:]) for one in (made, missing)]
    wanted = [(0, ("Created /one",)), (1, ("Node does not exist: /none",))]
    problem = None if found == wanted else f"{found}, not {wanted}"
    record_property(*results.of("zkcli", STATUS, kind, problem, counts={"answers": len(found)}))
    assert found == wanted


def test_version_is_the_one_which_was_asked_for(reference: Reference) -> None:
    assert f"ZooKeeper CLI version: {realzk.VERSION}-" in reference("nodes").output("version")
