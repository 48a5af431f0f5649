"""How the book is made: chapters, figures, claims, the build and the pages."""
