"""How split-partial-sums cuts a filter that no core holds, and what that costs."""
