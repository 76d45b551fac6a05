"""``python -m sunra_integrations.cli``: the command `sunra` if it is not on the path."""

import sys

from sunra_integrations.cli import main

if __name__ == "__main__":
    sys.exit(main())
