"""One module per revision, each frozen once released."""
