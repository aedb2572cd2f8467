"""Passes: Graph -> Graph, Graph -> Netlist, Netlist -> Netlist. One file each; the manager runs them."""
