"""Tests at another moment than this one: the wall's clock of a whole test run is put forward or back."""
