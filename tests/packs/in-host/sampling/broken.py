import sys

from .sampler import Sampler

if "execution" in sys.modules:
    raise ImportError("a library that only the environment has")


class Broken(Sampler):
    pass
