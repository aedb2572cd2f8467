"""How layers of spiking neurons become cores: the model (tiles, axons, copies), the search, and the netlist's emission."""
