"""What this code runs in, as one line of JSON: the demo prints it, tests compare it."""

import json
import os
import platform

import numpy as np


def describe_surroundings(node):
    return json.dumps(
        {"node": node, "python": platform.python_version(), "numpy": np.__version__, "pid": os.getpid()}
    )
