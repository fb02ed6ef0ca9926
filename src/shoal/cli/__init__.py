"""The command line: one file a command; it translates and prints. Heavy imports stay inside the commands, because
`shoal --help` has to answer at once."""
