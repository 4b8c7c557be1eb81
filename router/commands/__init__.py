"""What `scrimp` does from the command line; one module per command."""
