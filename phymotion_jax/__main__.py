"""`python -m phymotion_jax`: the same as `phymotion-jax`."""

import sys

from phymotion_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
