"""What exists on this machine: which environment has which id, where it lives, in which state it is, who links to it.

Import the modules directly: `identity`, `states`, `store`, `meta`, `atomic`, `locks`, `links`, `sizes`.
"""
