"""The nodes of a pack in its worker: found, imported, described, run."""
