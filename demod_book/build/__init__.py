"""The build: execute the chapters, check them, stage the sources, run jupyter-book, check the HTML, swap the book in.

`layout` says where everything lies, and replaces a folder so that a killed build cannot lose it. `notebooks` says what a
notebook must look like before and after it runs, `ingredients` what a chapter depends on: the cache. `execution` runs one
chapter in a process of its own, `progress` shows it on the terminal. `gallery` lists all figures, `verdicts` all claims,
`staging` fills the folder that jupyter-book reads, `html` checks what it made. `numbers` compares the chapters' numbers
with the accepted ones and with README.md. `build` does all of it in order.
"""
