"""The book on paper: its pages, printed by Chromium and joined to one PDF."""
