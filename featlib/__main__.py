"""Run the `featlib` command by `python -m featlib`."""

from featlib.cli import main

main(prog_name="python -m featlib")
