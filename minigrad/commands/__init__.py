"""The subcommands of `python -m minigrad`, a file each: `add_parser` says what it takes, `run` does it.

| file | what the commands share |
| --- | --- |
| `spec` | names with options, `NAME:KEY=VALUE` |
| `tasks` | the datasets, each with its loss, its model and its settings |
| `build` | models, optimizers and schedules by name |
| `experiment` | the settings of a run, and the run that they stand for |
| `stored` | a trained model from a file |
| `sample_file` | a picture or an array from a file, as a model takes it |
| `arguments`, `folders`, `threads`, `terminal` | checks of option values, where results go, threads, colour |
"""
