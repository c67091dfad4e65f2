"""One isolated directory on its way from a file to nodes that run: its state, its cause of failure, its description."""
