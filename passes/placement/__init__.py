"""Placement of cores on the mesh: the graph of wires, and the search."""
