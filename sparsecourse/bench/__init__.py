"""Our solvers against those of others: same problems, same certificate, same machine."""
