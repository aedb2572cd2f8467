"""The simulator: the .tnbin file format, the engines and their common interface. Knows nothing of the compiler's IR."""
