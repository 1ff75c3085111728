"""What a person starts: the `xaipipe` command line, one module per job."""
