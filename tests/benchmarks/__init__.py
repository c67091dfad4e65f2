"""How fast the data plane is, beside its peers and beside the machine itself: ``nox -s bench``.

Contestants are programs that each print one JSON line (`ours`, `floor`, and the peers' scripts); `latency`, `anatomy`,
`throughput`, `footprint` and `growth` print further figures of ours the same way. `__main__` runs them in turn,
`targets` judges them, `report` prints and writes them, `document` and `drawing` put them into docs.
"""
