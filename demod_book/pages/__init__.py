"""The pages of the book, made from what the chapters left."""
