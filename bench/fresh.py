"""A function in a process of its own: ``python bench/fresh.py MODULE FUNCTION [NUMBER ...]``."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import Any

from bare import find_packages

__all__ = ["in_fresh_process"]


def in_fresh_process(module: str, function: str, *numbers: int, **environment: str) -> Any:
    """What a function returns when called where nothing ran before; its answer travels as JSON.

    Args:
        module: of this folder.
        function: of the module.
        numbers: its arguments.
        environment: set for that process only.
    """
    words = [sys.executable, __file__, module, function, *map(str, numbers)]
    done = subprocess.run(words, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    find_packages()
    found = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(*map(int, sys.argv[3:]))
    print(json.dumps(found))
