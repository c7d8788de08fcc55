"""Loops that no record drives: the dispatcher, the clock, the gauges, and news from other processes."""
