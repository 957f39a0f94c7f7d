"""`python -m voin` is the command `voin`."""

from voin.cli import main

if __name__ == "__main__":
    main()
