"""Packages of the operating system: which are missing, and the commands that install them."""
