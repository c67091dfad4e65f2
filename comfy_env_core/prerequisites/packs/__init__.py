"""Other node packs that a pack asks for: which are there, and how the others are fetched."""
