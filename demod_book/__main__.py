"""`python -m demod`: the command `demod`, where the script of this name is not on the path."""

from demod_book.cli import app

app(prog_name="demod")
