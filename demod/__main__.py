"""`python -m demod`: the command of this distribution, where its script is not on the path."""

from importlib.metadata import entry_points

(command,) = entry_points(group="console_scripts", name="demod")
command.load()(prog_name="demod")
