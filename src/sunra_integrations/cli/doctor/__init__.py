"""`sunra doctor`: looks at all that a call depends on, and says how to mend what does not work."""
