"""Messages and stubs of the package `inference`: the Open Inference Protocol. Not to be loaded beside Triton's."""
