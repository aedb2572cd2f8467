"""The intermediate representation: nn graphs and core netlists, their text form, verifiers and interpreters."""
