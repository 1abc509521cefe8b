"""The command line: `app` dispatches, `commands` hold one command each, `render` prints.

`settings` and `stores` are what every command shares.
No SQL here, and no torch at import.
"""
