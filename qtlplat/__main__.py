"""`python -m qtlplat`: the command line, where its script is not on the path."""

from qtlplat.cli.app import main

if __name__ == "__main__":
    main()
