"""What surrounds the daemon: the clock, the log, systemd, metrics, health and the operator's control socket."""
