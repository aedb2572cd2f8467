"""What a network would cost on the chip: power and the highest tick rate, with error bars. Method: docs/cost.md."""
