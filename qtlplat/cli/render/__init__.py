"""How results look in a terminal and in files: tables, pages, progress, and the text formats.

Everything printed passes `terminal`, which escapes control characters.
Modules here take plain values; they read no store and know no command.
"""
