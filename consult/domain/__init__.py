"""What everything else speaks in: ids, errors, clock, who may do what. Standard library alone."""
