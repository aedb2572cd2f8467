"""How layers of spiking neurons become cores: the model, the search over tiles and splits, and the emission."""
