"""One file for each road: `measure(bench)` runs it, and writes down what was found."""
