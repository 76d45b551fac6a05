"""Fuzzes one target with atheris, with the protocol package instrumented for coverage."""

import sys

import atheris

with atheris.instrument_imports(include=["sunra_integrations.protocol"]):
    from fuzz import targets


def main() -> None:
    """Fuzzes until the time limit. The first argument is the name of the target."""
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
