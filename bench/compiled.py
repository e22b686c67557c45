"""What XLA makes of the greeks: ``python bench/compiled.py``. docs/speed.md reads it.

For each set of outputs: the loops of the compiled program, each of which reads its operands from memory and
writes its results there; the operations on every contract, as written and as compiled; bytes of temporaries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from bare import find_packages

find_packages()

from jobs import ELEVEN, contracts, some_greeks  # noqa: E402

COUNT = 200_000
OPERATIONS = ("add", "subtract", "multiply", "divide", "exponential", "select")


def compiled(names: Sequence[str]) -> dict[str, float]:
    """Loops, operations per contract as written and as compiled, bytes of temporaries per contract."""
    with jax.enable_x64(True):
        lowered = some_greeks.lower(*map(jnp.asarray, contracts(COUNT)), names=tuple(names))
        program = lowered.compile()
    written, made = lowered.as_text(), program.as_text()
    memory = program.memory_analysis()
    return {
        "loops": len(re.findall(r"= .* fusion\(", made)),
        "written": sum(len(re.findall(rf"stablehlo\.{name}\b", written)) for name in OPERATIONS),
        "compiled": sum(len(re.findall(rf" {name}\(", made)) for name in OPERATIONS),
        "temporary_bytes": memory.temp_size_in_bytes / COUNT,
    }


def main() -> None:
    """Print a line for each set of outputs."""
    print("outputs  loops  operations as written  as compiled  bytes of temporaries per contract")
    for names in (ELEVEN[:1], ELEVEN[:5], ELEVEN):
        row = compiled(names)
        print(
            f"{len(names):7}  {row['loops']:5}  {row['written']:21}  {row['compiled']:11}  "
            f"{row['temporary_bytes']:33.0f}"
        )


if __name__ == "__main__":
    main()
