"""What stays where it was made: lending, live handles, and making the real thing of an object elsewhere."""
