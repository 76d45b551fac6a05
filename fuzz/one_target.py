"""Hands one target to atheris, with the code that reads answers instrumented for coverage."""

import sys

import atheris

with atheris.instrument_imports(include=["sunra_integrations.protocol"]):
    from fuzz import targets


def main() -> None:
    """Fuzzes until its time is up; the first argument names the target."""
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
