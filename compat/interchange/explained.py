"""What a directory may not carry over, and why: none of it is a failure of the matrix."""

from __future__ import annotations

from typing import Final

EXPLAINED: Final = (
    (
        "Digests on, then off, on 3.9",
        "A snapshot's digest and its last zxid stand in sections without a tag. A 3.9 server whose "
        "`zookeeper.digest.enabled` is false takes what comes first for the last zxid, finds no seal after "
        "it, and refuses the directory, whoever wrote it; the directory is still good for the writer. Off, "
        "then on, is fine: zkpy then writes neither section, which every server accepts. zkpy and 3.8.0 "
        "accept either way.",
    ),
    (
        "TTL znodes without extended types",
        "A server whose `zookeeper.extendedTypesEnabled` is not true takes a TTL znode for an ephemeral of a "
        "session that it does not know, and removes it when it loads the data. zkpy does as Java does; the "
        "cases of these settings expect it, and everything else to be there.",
    ),
    (
        "`create2` inside a multi, on 3.8.0",
        "3.9 (and zkpy) log it as such; 3.8.0 does not know the type there and stops applying the multi, so "
        "that its rest is missing. 3.8.0 itself logs a plain create. Clients of 3.8 and kazoo send plain "
        "creates in a multi, and so do the cases with 3.8.0.",
    ),
    (
        "IPv6 addresses in ACLs, on 3.8.0",
        "3.8.0 does not accept them from clients. The cases with 3.8.0 use IPv4 only.",
    ),
    (
        "Java's snapshots during writes",
        "A snapshot that a Java server takes while requests come in may lack ACLs of its znodes. 3.9.5 puts "
        "that right when it replays the log, 3.8.0 does not, and such znodes stay unreadable there. So the "
        "cases let 3.8.0 take its snapshots when it starts only; 3.9.5 and zkpy take many while the content "
        "is written. zkpy passes over such a snapshot and uses the one before with the logs after that, or, "
        "where there is none before, takes it and checks that the log gives all the missing ACLs. Rarely "
        "3.9.5 itself does not start on such a snapshot of its own (`Failed to fetch acls`); where that "
        "happens before zkpy has seen the directory, the case begins again.",
    ),
    (
        "One mismatch after Java's snapshots during writes",
        "Such a snapshot can also have an effect of the transaction after the one whose digest it names. "
        "Then zkpy counts one digest mismatch when it loads it, and none after that; the matrix lets this "
        "one pass where a Java server's snapshot is of that kind.",
    ),
    (
        "The digest in a Java server's first snapshot",
        "When a Java server removes ephemerals of lost sessions while it loads, the snapshot which it takes "
        "at its start still has the digest of before. zkpy notices at the first entry of the log, and "
        "computes the digest itself.",
    ),
    (
        "A log that ends before its header does, on Java",
        "3.8.0 does not start on an empty last log, and neither 3.8.0 nor 3.9.5 on one with half a header. "
        "zkpy names a log when its header and first transactions are written, so a killed process leaves no "
        "such file. A power cut can, with any server: start zkpy once, which removes it, or remove it "
        "yourself, as nothing is in there.",
    ),
    (
        "snappy on 3.8.0",
        "Debian keeps snappy's native library in a package apart. The cases run 3.8.0 with the snappy-java "
        "of the 3.9.5 jars.",
    ),
)
"""Title and reason."""
