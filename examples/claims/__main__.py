"""All claims, one after the other: `python examples/claims [--out DIR] [--quick] [--table FILE] [NAME ...]`.

Writes the figures, prints each result, and ends with a table of verdicts, which `--table` writes to a file as well: it
is the table in README.md beside this file, between the two marks there.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from claim import Result, save

FOLDER = Path(__file__).parent
SHARED = {"__main__", "claim", "training"}
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"

#: The scripts, in the order of the module.
NAMES = (
    "gradient_is_steepest", "learning_rate_too_large_or_small", "local_minima_and_dimension", "saddle_points",
    "ill_conditioning", "batch_size_and_gradient_noise", "full_batch_against_mini_batch",
    "noise_escapes_local_minima", "larger_batches_need_larger_rates", "small_batches_and_generalisation",
    "momentum_accelerates_and_dampens", "nesterov_looks_ahead", "features_of_different_scale",
    "adagrad_rate_goes_to_zero", "bias_correction", "warmup_for_large_batches", "one_cycle_in_fewer_epochs",
    "optimizers_compared", "start_with_adam", "switch_to_sgd_for_final_training", "warmup_for_large_models",
    "tune_learning_rate_first", "initialisation_and_activations",
    "poor_initialisation_prevents_learning", "clipping_an_lstm", "schedules_improve_final_performance",
)  # fmt: skip


def table(results: dict[str, Result]) -> str:
    """A row for each claim: section, the module's words, verdict, reason, script."""
    lines = ["| section | the module says | verdict | measured |", "| --- | --- | --- | --- |"]
    for name, result in results.items():
        because = result.because.replace("|", "\\|")
        quote = result.quote.replace("|", "\\|")
        lines.append(f"| {result.section} | [{quote}]({name}.py) | **{result.verdict}** | {because} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="claims", description="Measures the sentences of the course module.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of them, by default all: {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, default=Path("runs/claims"), metavar="DIR", help="where the figures go")
    parser.add_argument("--quick", action="store_true", help="smaller and rougher")
    parser.add_argument("--table", type=Path, metavar="FILE", help="put the table between the marks of this file")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"expected some of {', '.join(NAMES)}; got {', '.join(sorted(unknown))}.")
    text = ""
    if options.table is not None:
        text = options.table.read_text(encoding="utf-8") if options.table.is_file() else f"{BEGIN}\n{END}\n"
        if BEGIN not in text or END not in text:
            parser.error(f"--table: expected {BEGIN} and {END} in {options.table}, there are none; name another file.")
    results = {}
    for name in options.names or NAMES:
        results[name] = importlib.import_module(name).run(options.quick)
        save(results[name], options.out, name)
        print(results[name].text(name), end="\n\n", flush=True)
    print(table(results))
    if options.table is not None:
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        options.table.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
