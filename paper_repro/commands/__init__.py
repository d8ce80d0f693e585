"""The subcommands, one a file; each has `add(subparsers)`."""
