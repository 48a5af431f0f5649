"""The accepted numbers, arrays and verdicts of the book."""
