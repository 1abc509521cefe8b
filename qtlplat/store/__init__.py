"""The experiment store: schema, migrations, one writer, one reader. It knows records, never torch or plugins."""
