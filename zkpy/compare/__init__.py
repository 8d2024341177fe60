"""The same requests to zkpy and to a real ZooKeeper server, and what they answered differently.

A proxy stands between the clients and zkpy. Clients get zkpy's answers; a real server gets each request as
well, and what both send is compared. ::

    client ── requests ──┬─ zkpy ──────── frames ──┬── to the client, at once
                         │                         ├── matched in pairs, compared, reported
                         └─ real server ─ frames ──┘

``proxy.py`` listens and owns what all connections share; ``link.py`` moves the bytes of one connection;
``match.py`` pairs and compares frames; ``pairs.py`` knows what stands for what on the other server (sessions,
zxids, clocks); ``fields.py`` takes frames apart; ``screen.py`` says what is not passed on and what may travel
together; ``report.py`` prints; ``survey.py`` looks at both servers before anything begins.
"""
