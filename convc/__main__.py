"""`convc` and `python -m convc`: start the command line."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code; 130, as shells have it, after ^C."""
    try:
        # Inside, so that ^C during the import ends as quietly as later.
        from .cli import main as cli

        return cli()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
