"""Speed and memory, each against its peer in the same run: only ratios count."""
