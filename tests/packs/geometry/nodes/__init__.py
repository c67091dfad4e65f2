"""The nodes of this pack, by where they run."""
