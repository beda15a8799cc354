"""Statistics: totals, series, the most active users and what is stored, from counters kept with the writes."""
