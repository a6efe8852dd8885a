"""Messages and stubs of the package `seqserve.v1`."""
