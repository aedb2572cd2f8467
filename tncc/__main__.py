"""`python -m tncc`."""

from tncc.cli import main

main()
