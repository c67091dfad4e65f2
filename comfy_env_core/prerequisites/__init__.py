"""What packs ask for outside of Python environments: packages of the system, and other packs.

Looking costs nothing until somebody asks, and installing happens on an explicit request alone, never at a start.
"""
