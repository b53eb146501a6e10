"""The subcommands of `python -m minigrad`, a file each: `add_parser` says what it takes, `run` does it."""
