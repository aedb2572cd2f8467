"""Passes: Graph -> Graph, Graph -> Netlist, Netlist -> Netlist. One file each; pass_manager runs them."""
