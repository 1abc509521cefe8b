"""One module per command of the command line, or per group of commands.

A command parses its options, calls the layer below, and hands the result to `render`.
Modules are imported when their command is called, so none may be imported by `app` at start.
"""
