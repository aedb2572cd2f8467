"""Backends: from the core netlist to files."""
