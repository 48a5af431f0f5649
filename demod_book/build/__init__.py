"""The build: execute the chapters, check them, stage the sources, run jupyter-book, check the HTML, swap the book in.

`folders` says where everything lies, and replaces a folder so that a killed build cannot lose it. `notebooks` says what a
notebook must look like before and after it runs, `cache` what a chapter depends on, `prose` what it may refer to. `run` runs
one chapter, `worker` the process that it has for itself, `schedule` all that must run. `launch` knows the address of the
repository. `build` does all of it in order.
"""
